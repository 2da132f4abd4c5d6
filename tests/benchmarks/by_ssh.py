"""A machine that is reached by ssh, on loopback: beside ssh itself, and beside the agent of this machine."""

import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hopx_magics as hopx
from hopx_magics.models import Process
from hopx_magics.settings import read_settings
from tests.standins.sshd import SSHD, Machine
from tests.waiting import DEADLINE

from .measure import Skipped, medians
from .places import end_all, environment, own_place
from .report import Row, surplus, took


@contextmanager
def machine() -> Iterator[Machine]:
    """Another machine, and a place of one's own here."""
    if SSHD is None:
        raise Skipped("no sshd: apt-get install openssh-server")
    with own_place() as place:
        there = Machine(place / "gpu")
        there.start()
        try:
            with environment(HOPX_SSH=there.ssh):
                yield there
        finally:
            there.stop()
            end_all(Path(read_settings(there.environment).state_folder))


def connecting(smallest: bool) -> Iterator[Row]:
    with machine() as there:
        hopx.connect("ssh://gpu")  # which starts the agent

        def connect() -> None:
            hopx.disconnect("gpu")
            hopx.connect("ssh://gpu")

        bare = [*there.ssh.split(), "gpu", "true"]
        rounds = 1 if smallest else 7
        ours, theirs = medians(connect, lambda: subprocess.run(bare, check=True), rounds=rounds)
        yield surplus("connect, the agent is there", ours, "ssh gpu true", theirs, "+1,500 ms")


def asking(smallest: bool) -> Iterator[Row]:
    """A listing, a launch, and a line of output until it is heard of here."""
    rounds = 1 if smallest else 31
    with machine():
        by_ssh = hopx.connect("ssh://gpu")
        local = hopx.connect("local")
        ours, theirs = medians(lambda: by_ssh.listing(tail=0), lambda: local.listing(tail=0), rounds=rounds)
        yield surplus("a listing", ours, "on this machine", theirs, "+5 ms")
        ours, theirs = medians(lambda: _launched("gpu"), lambda: _launched("local"), rounds=rounds)
        yield surplus("a launch to its reply", ours, "on this machine", theirs, "+5 ms")
        ours, theirs = medians(lambda: _line_heard(by_ssh), lambda: _line_heard(local), rounds=rounds)
        yield surplus("a launch to its first line, heard of here", ours, "on this machine", theirs, "+10 ms")


def _launched(on: str) -> object:
    return hopx.launch("true", language="bash", on=on)


def _line_heard(connection: Any) -> None:
    """A launch, until a listener has its first line."""
    heard = threading.Event()
    word = f"line {time.monotonic_ns()}"

    def listen(update: Any) -> None:
        if update.listing and any(word in (process.stdout or "") for process in update.listing.processes):
            heard.set()

    stop = connection.watcher.listen(listen, tail=100)
    hopx.launch(f"echo '{word}'", language="bash", on=connection.name)
    heard.wait(DEADLINE)
    stop()


def ending(smallest: bool) -> Iterator[Row]:
    """From the last act of a process there to the update that a row is drawn from."""
    rounds = 1 if smallest else 15
    with machine() as there:
        connection = hopx.connect("ssh://gpu")
        taken = statistics.median(_end_heard(connection, there.folder / "mark") for _ in range(rounds))
        yield took("an end to what a row is drawn from", taken, "300 ms")


def _end_heard(connection: Any, mark: Path) -> float:
    ended = threading.Event()
    moments: list[float] = []

    def listen(update: Any) -> None:
        processes: tuple[Process, ...] = update.listing.processes if update.listing else ()
        if processes and all(process.ended for process in processes):
            moments.append(time.time())
            ended.set()

    hopx.launch(f"import time; time.sleep(0.3); open({str(mark)!r}, 'w').write(repr(time.time()))")
    stop = connection.watcher.listen(listen)
    ended.wait(DEADLINE)
    stop()
    return moments[0] - float(mark.read_text())


MEASUREMENTS = {"connecting": connecting, "asking": asking, "ending": ending}
