"""The sockets of an agent: one in a private folder for this user's kernels, one on loopback for all who have the token.

Whoever reaches the first one knows whose agent it is, since nobody else can put a socket there. A port of loopback may
be anybody's once its agent is gone.
"""

import contextlib
import shutil
import socket
import tempfile
from pathlib import Path

from ..settings import is_private

SOCKET_FILE = "agent.sock"
BACKLOG = 2048


def loopback_listener(port: int) -> socket.socket:
    """Listens on that port of loopback, 0 for a free one. Raises OSError."""
    # The protocol has to be named: asyncio switches Nagle's algorithm off only where it sees that this is TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def private_listener(folder: Path) -> socket.socket:
    """Listens in the agent's folder; raises OSError.

    In a folder of its own where that one's path is too long for a socket, or its file system knows no sockets or modes.
    """
    if is_private(folder):
        with contextlib.suppress(OSError):
            return _bound(folder / SOCKET_FILE)
    other = Path(tempfile.mkdtemp(prefix="hopx-", dir="/tmp"))
    try:
        return _bound(other / SOCKET_FILE)
    except OSError:
        shutil.rmtree(other, ignore_errors=True)
        raise


def _bound(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def forget_socket(path: Path, folder: Path) -> None:
    """Removes the folder that was made for a socket alone; one in the agent's folder stays there for the next agent."""
    if path.parent != folder:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
            path.parent.rmdir()
