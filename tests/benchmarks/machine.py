"""The machine's own speed, by which runs are compared: none of it is ours."""

import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.waiting import DEADLINE

from .measure import medians
from .report import Row, took

BARE_IPYTHON = "from IPython.core.interactiveshell import InteractiveShell; s = InteractiveShell.instance()"

ECHO = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := connection.recv(4096):
        connection.sendall(data)
"""


def python(code: str) -> None:
    """Runs code in a fresh interpreter."""
    subprocess.run([sys.executable, "-P", "-c", code], check=True)


def loop() -> int:
    """A million steps of plain Python."""
    total = 0
    for number in range(1_000_000):
        total += number & 7
    return total


def speed(smallest: bool) -> Iterator[Row]:
    rounds = 1 if smallest else 15
    bare, ipython, steps = medians(lambda: python("pass"), lambda: python(BARE_IPYTHON), loop, rounds=rounds)
    yield took("a bare Python starts and ends", bare)
    yield took("a bare IPython starts and ends", ipython)
    yield took("a million steps of plain Python", steps)
    yield took("there and back through a socket on loopback", round_trip(10 if smallest else 2_000))
    yield took("a row of SQLite, committed", commit(10 if smallest else 200))


def round_trip(rounds: int) -> float:
    with socket.create_server(("127.0.0.1", 0)) as server:
        echo = subprocess.Popen([sys.executable, "-c", ECHO, str(server.getsockname()[1])])
        connection, _ = server.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def there_and_back() -> None:
            connection.sendall(b"x" * 100)
            connection.recv(4096)

        (median,) = medians(there_and_back, rounds=rounds)
        connection.close()
        echo.wait(DEADLINE)
    return median


def commit(rounds: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        db = sqlite3.connect(Path(folder) / "rows.sqlite", isolation_level=None)
        db.execute("PRAGMA journal_mode = wal")
        db.execute("CREATE TABLE rows (text TEXT)")
        (median,) = medians(lambda: db.execute("INSERT INTO rows VALUES ('x')"), rounds=rounds)
        db.close()
    return median


MEASUREMENTS = {"speed": speed}
