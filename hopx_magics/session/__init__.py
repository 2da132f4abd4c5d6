"""The use cases: connect, launch, list, find, wait, kill, read output."""

from ..client.transport import checked_url
from .finding import find_process, nearest
from .launching import LaunchOptions, checked_language, checked_launch, checked_sweep
from .session import LOCAL, Connection, Session
from .waiting import FORGOTTEN_AFTER, Waiting

__all__ = [
    "FORGOTTEN_AFTER",
    "LOCAL",
    "Connection",
    "LaunchOptions",
    "Session",
    "Waiting",
    "checked_language",
    "checked_launch",
    "checked_sweep",
    "checked_url",
    "find_process",
    "nearest",
]
