"""From models to what a person sees. Knows no session, client or magic."""
