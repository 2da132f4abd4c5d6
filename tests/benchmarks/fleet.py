"""200 agents at once: one table of all, one of them hanging, and what it costs to watch them at rest."""

import selectors
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import msgspec

import hopx_magics as hopx

from .measure import medians, seconds
from .places import own_place
from .report import Row, surplus
from .standins import Processes, standins, tell

PROCESSES = Processes(50, size=200)
DELAY = 0.05
"""Seconds that an agent takes for an answer."""


@contextmanager
def fleet(smallest: bool) -> Iterator[tuple[list[str], list[str]]]:
    """The names of connected agents, and their addresses."""
    with standins(3 if smallest else 200, PROCESSES, DELAY) as urls, own_place():
        names = [f"agent-{number}" for number in range(len(urls))]
        for name, url in zip(names, urls, strict=True):
            hopx.connect(url, name=name, token="token")
        yield names, urls


def listing(smallest: bool) -> Iterator[Row]:
    """The stand-ins' own part is what bare sockets take for the same answers, less what they take for one of them."""
    rounds = 1 if smallest else 9
    with fleet(smallest) as (names, urls), closing(BareSockets(urls)) as bare:
        assert len(hopx.ps(on="all")) == len(names) * PROCESSES.count
        one, all_, bare_one, bare_all = medians(
            lambda: hopx.ps(on=names[0]),
            lambda: hopx.ps(on="all"),
            lambda: bare.ask(1),
            lambda: bare.ask(len(urls)),
            rounds=rounds,
        )
        frame = dataframe(len(names) * PROCESSES.count, rounds)
    times = [(taken - frame) / one for taken in (all_, all_ - (bare_all - bare_one))]
    yield Row(
        what=f"%hopx_ps --on all, {len(names)} agents with {PROCESSES.count} processes",
        value=1000 * all_,
        beside="one agent",
        other=1000 * one,
        result="{:.1f} times, {:.1f} without the stand-ins' own".format(*times),
        goal="3 times",
        note=f"without the DataFrame of {1000 * frame:.0f} ms",
    )
    yield surplus("the same by bare sockets: the stand-ins' own", bare_all, "one agent", bare_one)


def dataframe(rows: int, rounds: int) -> float:
    """Seconds for the DataFrame of so many rows: what it takes one agent more to be asked for them than for none."""
    with standins(processes=msgspec.structs.replace(PROCESSES, count=rows)) as (url,):
        hopx.connect(url, name="large", token="token")
        whole, empty = medians(lambda: hopx.ps(on="large"), lambda: hopx.ps(on="large", status="queued"), rounds=rounds)
    return whole - empty


class BareSockets:
    """Asks agents for their listings side by side, and does nothing with the answers."""

    def __init__(self, urls: list[str]) -> None:
        self._sockets = [socket.create_connection(("127.0.0.1", urlsplit(url).port)) for url in urls]

    def ask(self, count: int) -> None:
        with selectors.DefaultSelector() as waiting:
            for connection in self._sockets[:count]:
                connection.sendall(b"GET /execute/processes HTTP/1.1\r\nHost: localhost\r\n\r\n")
                waiting.register(connection, selectors.EVENT_READ, bytearray())
            while waiting.get_map():
                for key, _ in waiting.select():
                    self._read(waiting, key)

    def _read(self, waiting: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        connection, body = key.fileobj, key.data
        assert isinstance(connection, socket.socket)
        body += connection.recv(1_000_000)
        head, found, rest = body.partition(b"\r\n\r\n")
        if found and len(rest) == int(head.rpartition(b"Content-Length: ")[2]):
            waiting.unregister(connection)

    def close(self) -> None:
        for connection in self._sockets:
            connection.close()


def at_rest(smallest: bool) -> Iterator[Row]:
    pause, length = (0.2, 0.2) if smallest else (5.0, 30.0)
    with fleet(smallest) as (names, _), closing(hopx.watch(on="all")):
        time.sleep(pause)
        begun = time.process_time()
        time.sleep(length)
        used = time.process_time() - begun
    what = f"{len(names)} watched agents at rest"
    yield Row(what=what, value=100 * used / length, unit="% of a core", goal="20 %")


def hanging(smallest: bool) -> Iterator[Row]:
    with fleet(smallest) as (names, urls):
        (before,) = medians(lambda: hopx.ps(on="all"), rounds=1 if smallest else 5)
        tell(urls[-1], "hang")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            taken = seconds(lambda: hopx.ps(on="all"))
    yield surplus(f"{len(names)} agents of which one hangs", taken, "none hangs", before, "+5,000 ms")


MEASUREMENTS = {"listing": listing, "at-rest": at_rest, "hanging": hanging}
