"""What this Python process is connected to, and what its connections are asked together."""
