"""How far it is from a magic to the socket: the frames of ours that a reader has to walk through."""

import re
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import httpcore
import pytest

import hopx_magics
from tests.contributing import section

PACKAGE = str(Path(hopx_magics.__file__).parent)

Walks = dict[str, list[str]]


def ours(frame: FrameType | None) -> list[str]:
    """The frames of the package, the innermost first, without comprehensions, which are none from Python 3.12 on."""
    found = []
    while frame is not None:
        if frame.f_code.co_filename.startswith(PACKAGE) and not frame.f_code.co_name.endswith("comp>"):
            module = frame.f_globals["__name__"].removeprefix("hopx_magics.")
            found.append(f"{module}.{frame.f_code.co_qualname}")
        frame = frame.f_back
    return found


def working_together(others: Collection[threading.Thread]) -> list[int]:
    """The cell's thread, and of each pool the thread that asks, or any: they do the same. `others` do not count."""
    new = [thread for thread in threading.enumerate() if thread not in others]
    pools = {thread.name.rpartition("_")[0]: thread for thread in new if "_" in thread.name}
    me = threading.current_thread()
    pools[me.name.rpartition("_")[0]] = me
    threads = dict.fromkeys([threading.main_thread(), *pools.values()])
    threads[me] = threads.pop(me)
    return [thread.ident for thread in threads if thread.ident]


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Walks]:
    """The longest walk to each request line, from the cell's thread on through those that work for it."""
    longest: Walks = {}
    others = set(threading.enumerate())  # of earlier tests
    write = httpcore._backends.sync.SyncStream.write

    def note(stream: Any, buffer: bytes, timeout: float | None = None) -> None:
        asked = bytes(buffer[:200]).partition(b" HTTP/")[0].decode("latin-1").partition("?")[0]
        walk = [name for ident in working_together(others) for name in reversed(ours(sys._current_frames().get(ident)))]
        if threading.current_thread().name.startswith(("MainThread", "ThreadPool", "hopx-listing")):
            longest[asked] = max(longest.get(asked, []), walk, key=len)
        write(stream, buffer, timeout)

    monkeypatch.setattr(httpcore._backends.sync.SyncStream, "write", note)
    yield longest
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("before", "magic", "asked", "most"),
    [
        ("", "%hopx_ps", "GET /execute/processes", 8),
        ("", "%%hopx_bg -q\npass", "POST /execute/background", 8),
        ("run = hopx.launch('import time; time.sleep(1000)')", "%hopx_kill run", "DELETE /execute/kill", 8),
        ("run = hopx.launch('print(1)').wait()", "%hopx_logs run", "/stdout", 9),
    ],
    ids=["ps", "bg", "kill", "logs"],
)
def test_walks_are_short(
    cell: Callable[[str], Any], walks: Walks, before: str, magic: str, asked: str, most: int
) -> None:
    cell(f"import hopx_magics as hopx\nhopx.ps()\n{before}")
    walks.clear()
    cell(magic)
    (walk,) = [walk for request, walk in walks.items() if asked in request]
    assert len(walk) <= most, walk
    written = section(f"`{magic.split()[0]}`")
    assert walk == re.findall(r"^\d+\. `(.*?)`", written, re.MULTILINE), "CONTRIBUTING.md tells another walk"


def test_several_connections_are_asked_the_same_way(cell: Callable[[str], Any], walks: Walks) -> None:
    cell("import hopx_magics as hopx\nfrom hopx_magics.session.session import session\nhopx.ps()")
    cell("endpoint = session().connection().agent.transport._endpoint")
    cell("hopx.connect(endpoint.url, name='again', token=endpoint.token)")
    walks.clear()
    cell("%hopx_ps")
    one = walks["GET /execute/processes"]
    walks.clear()
    cell("%hopx_ps --on all")
    several = walks["GET /execute/processes"]
    assert one[-3:] == several[-3:]
    assert len(several) <= 8, several
