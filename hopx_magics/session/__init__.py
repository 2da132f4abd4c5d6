"""The use cases: connect, launch, list, find, wait, kill, read output."""

from ..client.callbacks import checked_callback
from ..client.transport import checked_url
from ..client.vendor import is_vendor_sandbox
from ..connection.waiting import FORGOTTEN_AFTER, Waiting
from ..launches import LaunchOptions, checked_copies, checked_language, checked_launch, checked_sweep
from .connecting import LOCAL, Connection
from .dispatcher import Dispatcher, not_launched_yet
from .finding import find_process, nearest
from .gathering import Listed
from .sandboxes import Owned
from .session import Session

__all__ = [
    "FORGOTTEN_AFTER",
    "LOCAL",
    "Connection",
    "Dispatcher",
    "LaunchOptions",
    "Listed",
    "Owned",
    "Session",
    "Waiting",
    "checked_callback",
    "checked_copies",
    "checked_language",
    "checked_launch",
    "checked_sweep",
    "checked_url",
    "find_process",
    "is_vendor_sandbox",
    "nearest",
    "not_launched_yet",
]
