"""Runs a Python cell as a script and as a notebook do. Nothing here is imported before it is needed."""

import sys

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
