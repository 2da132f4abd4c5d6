"""What a fork leaves to the kernel that it was forked from: its user, its sockets, its threads, and their locks."""

import asyncio
import contextlib
import faulthandler
import gc
import io
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .freeing import free


def leave(shell: Any, namespace: Mapping[str, Any], ours: Sequence[str]) -> None:
    """Lets this process, just forked, share nothing with its kernel but the memory and what the user has opened."""
    kernel = getattr(shell, "kernel", None)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2, *_not_the_users({*_ports(kernel), *ours} - {None}, tuple(ours))):
        os.dup2(nothing, descriptor, inheritable=descriptor < 3)  # closed, its number might come to be another file's
    os.close(nothing)
    signal.set_wakeup_fd(-1)
    for handler in (signal.SIG_IGN, signal.default_int_handler):  # the first forgets what came while it was blocked
        signal.signal(signal.SIGINT, handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    free(namespace)
    gc.freeze()  # to look at what there is would copy it
    if "asyncio" in sys.modules:
        asyncio.set_event_loop(asyncio.new_event_loop())  # that of the kernel is watched by the kernel
    if kernel is not None:
        kernel.session.send = _nothing
        shell.set_parent = _nothing  # it tells what shows and prints to which cell that belongs
    if shell is not None:
        shell.history_manager.enabled = False


def write_to(stdout: str, stderr: str, stacks: str) -> None:
    """Lets this process, and all that writes to the kernel's streams, write to these files; stacks are for SIGUSR1."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    for number, path in ((1, stdout), (2, stderr)):
        descriptor = os.open(path, flags, 0o600)
        os.dup2(descriptor, number)
        os.close(descriptor)
    old = {"stdout": sys.stdout, "stderr": sys.stderr}
    sys.stdout = sys.__stdout__ = _text(1, "strict")  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _text(2, "backslashreplace")  # type: ignore[misc]
    sys.excepthook = sys.__excepthook__
    for name, stream in old.items():
        _lead(stream, getattr(sys, name))
    file = os.open(stacks, flags, 0o600)
    faulthandler.enable(file)  # which it is by the kernel, with all of the kernel's own frames
    faulthandler.register(signal.SIGUSR1, file, chain=False)


def _text(descriptor: int, errors: str) -> io.TextIOWrapper:
    raw: Any = io.FileIO(descriptor, "w", closefd=False)  # as Python itself does with -u
    return io.TextIOWrapper(raw, encoding="utf-8", errors=errors, write_through=True)


def _lead(old: Any, new: Any) -> None:
    """Lets what is written to a stream, of which somebody may have taken hold, be written to another one."""
    with contextlib.suppress(AttributeError, TypeError):
        for name in ("write", "writelines", "flush", "fileno", "isatty"):
            setattr(old, name, getattr(new, name))


def _ports(kernel: Any) -> Iterator[object]:
    """The ports at which the kernel listens, or the paths."""
    app: Any = getattr(kernel, "parent", None)
    for channel in ("shell", "iopub", "stdin", "hb", "control"):
        port = getattr(app, f"{channel}_port", 0)
        if port:
            yield port if app.transport == "tcp" else f"{app.ip}-{port}"
    yield getattr(getattr(app, "iopub_thread", None), "_pipe_port", None)  # where forks of a kernel would print


def _not_the_users(addresses: set[object], paths: tuple[str, ...]) -> Iterator[int]:
    """The descriptors of sockets at these ports or connected to these paths, and of files whose paths begin so."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the descriptor by which this is listed is closed by now
            if os.readlink(f"/proc/self/fd/{name}").startswith(paths):
                yield int(name)
            with socket.socket(fileno=os.dup(int(name))) as found:  # OSError where it is none
                is_ours = bool(addresses & {*_names(found)})
            if is_ours:
                yield int(name)


def _names(found: socket.socket) -> Iterator[object]:
    """Its port, or its path, and that to which it is connected."""
    if found.family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
        for name_of in (found.getsockname, found.getpeername):
            with contextlib.suppress(OSError):
                name = name_of()
                yield name[1] if isinstance(name, tuple) else name


def show_bars_as_text(notebook: Any) -> None:
    """Lets tqdm's bars be text, by which progress is known: nobody would show the widgets of this process."""
    bar = notebook.tqdm_notebook
    plain = bar.__mro__[1]
    for name in [name for name in vars(bar) if hasattr(plain, name) and name not in ("__dict__", "__doc__")]:
        with contextlib.suppress(AttributeError, TypeError):
            delattr(bar, name)
    for each in list(getattr(bar, "_instances", ())):
        with contextlib.suppress(AttributeError):  # it is closed
            each.gui, each.sp = False, each.status_printer(sys.stderr)


def _nothing(*_: object, **__: object) -> None:
    """What is told the front end by who is not its kernel."""
