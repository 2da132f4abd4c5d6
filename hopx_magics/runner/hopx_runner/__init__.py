"""Runs a Python cell as a script and as a notebook do. Nothing here is imported before it is needed."""
