"""The small parent of a forked cell: it holds the lock of the run's folder, and writes how the cell has ended.

    python -I -S keeper.py FOLDER PID

It does what `local_agent/shim.sh` does for programs, and imports nothing that takes time.
"""

import os
import sys

NOT_BEGUN = 126
"""The exit code of a process that could not begin."""

_SIZE = 64
"""The bytes of a record: see `local_agent/store.py`."""


def lock(folder: str) -> int:
    """The locked file by which an agent sees that this process lives."""
    import fcntl

    descriptor = os.open(os.path.join(folder, "intent"), os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def keep(folder: str, pid: int) -> None:
    """Waits for the end of a child, and writes how that was, if it had begun."""
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = code if code >= 0 else 128 - code
    if read(folder, "start"):
        write_exit(folder, code)
    os._exit(code)


def write_start(folder: str, keeper: int) -> None:
    """Writes that this process has begun, whose keeper that is."""
    pid = os.getpid()
    with open(f"/proc/{pid}/stat", "rb") as file:
        born = file.read().rpartition(b")")[2].split()[19].decode()
    _write(folder, "start", f"{keeper} {pid} {_uptime()} {born}")


def write_exit(folder: str, code: int) -> None:
    """Writes how a process has ended, and whether anybody had asked for it by then."""
    asked = " asked" if read(folder, "intent") else ""
    _write(folder, "exit", f"{code} {_uptime()}{asked}")


def read(folder: str, record: str) -> str:
    """The text of a record, empty while nothing has been written to it."""
    try:
        with open(os.path.join(folder, record), "rb") as file:
            return file.read(_SIZE).decode("ascii", "replace").strip()
    except OSError:
        return ""


def _write(folder: str, record: str, text: str) -> None:
    """Writes a record in place, which needs no room on a full disk."""
    try:
        descriptor = os.open(os.path.join(folder, record), os.O_WRONLY)
    except OSError:  # the run has deleted its folder
        return
    os.pwrite(descriptor, text.encode()[: _SIZE - 1].ljust(_SIZE - 1) + b"\n", 0)
    os.close(descriptor)


def _uptime() -> str:
    with open("/proc/uptime", "rb") as file:
        return file.read(64).split()[0].decode()


if __name__ == "__main__":
    keep(sys.argv[1], int(sys.argv[2]))
