"""The live table: state in, intents out. Knows no session, client or magic."""
