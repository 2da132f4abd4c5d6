"""The way to a machine by ssh, step by step: the program, what it makes of the name, the login, the package."""

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence

import msgspec

from hopx_magics import __version__

from ..client import ssh
from ..client.reading import Lines
from ..client.tunnel import Way
from ..findings import Finding, broken, ok
from ..output.oneline import printable
from .agents import NOT_ANSWERING
from .machine import Room, look_at_room

PATIENCE = 5.0
"""Seconds that each step may take."""


def look_at_way(way: Way, folders: Sequence[str] = ()) -> Iterator[Finding]:
    """Each step of an ssh of its own to that machine, until one fails, and the room in these folders there: the state
    folder of its agent, and that of what is launched. No agent is started there."""
    program = shutil.which(way.ssh[0])
    if program is None:
        advice = "Install OpenSSH's client, or name it by HOPX_SSH."
        yield broken("ssh: program", f"there is no {way.ssh[0]}", NOT_ANSWERING, advice)
        return
    yield ok("ssh: program", f"{program}, {_said(_run([*way.ssh, '-V']))}")
    configured = _configuration(way)
    yield ok("ssh: configuration", ", ".join(f"{name} {value}" for name, value in configured.items()))
    if not configured.keys() & {"proxyjump", "proxycommand"} and configured.keys() >= {"hostname", "port"}:
        step = _reached(configured["hostname"], int(configured["port"]))
        yield step
        if step.state == "broken":
            return
    yield from _login(way, folders)


def _run(words: Sequence[str], seconds: float = PATIENCE) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=seconds
    )


def _said(done: "subprocess.CompletedProcess[str]") -> str:
    lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    return printable(lines[-1].strip(), 200) if lines else f"exit {done.returncode}"


def _configuration(way: Way) -> dict[str, str]:
    """What the user's configuration makes of the host's name, as far as it says where and how."""
    told = _run([*way.ssh, "-G", *way.address.words]).stdout.splitlines()
    words = dict(line.split(" ", 1) for line in told if re.match(r"(hostname|port|user|proxyjump|proxycommand) ", line))
    return {name: printable(value, 100) for name, value in words.items() if value != "none"}


def _reached(host: str, port: int) -> Finding:
    try:
        with socket.create_connection((host, port), PATIENCE) as connection:
            connection.settimeout(PATIENCE)
            banner = connection.recv(100)
    except OSError as error:
        advice = "Is it on, and is its name, port or firewall right?"
        return broken("ssh: reached", f"{host} port {port}: {error.strerror or error}", NOT_ANSWERING, advice)
    if not banner.startswith(b"SSH-"):
        return broken("ssh: reached", f"what answers at {host} port {port} is no ssh", NOT_ANSWERING)
    return ok("ssh: reached", f"{host} port {port}: {printable(banner.decode(errors='replace'), 60)}")


def _login(way: Way, folders: Sequence[str]) -> Iterator[Finding]:
    options = ["BatchMode=yes", f"ConnectTimeout={PATIENCE:.0f}", "ControlPath=none", "RemoteCommand=none"]
    given = [word for option in options for word in ("-o", option)]
    mark = Lines().mark
    script = ssh.in_login_shell(ssh.with_python(_PROBE, (mark, __version__, *folders), way.python), way.setup)
    done = _run([*way.ssh, *given, *way.address.words, ssh.remote_command(script)], 2 * PATIENCE)
    if done.returncode == 255:
        advice = f"Try {way.address.by_hand} in a terminal: when that asks for nothing any more, this works, too."
        yield broken("ssh: login", _said(done), NOT_ANSWERING, advice)
        return
    yield ok("ssh: login", "without a question")
    if done.returncode == ssh.SETUP_FAILED:
        yield broken("ssh: setup", _said(done), NOT_ANSWERING)
        return
    told = [line.partition(mark)[2] for line in done.stdout.splitlines() if mark in line]
    if told and done.returncode == 0:
        package, *rooms = told
        yield ok("ssh: package", printable(package, 200))
        yield from _rooms(rooms)
        return
    found = printable(told[0], 200) if told else "no Python 3.11 or newer is found"
    advice = "%hopx_connect --install makes an environment with it there; --python and --setup lead to a Python there."
    yield broken("ssh: package", found, f"It has to be there as it is here, {__version__}.", advice)


def _rooms(told: Sequence[str]) -> Iterator[Finding]:
    """The room in the state folder, and where that is on another disk, or can't be used, in the folder of launches."""
    try:
        rooms = [msgspec.json.decode(line, type=Room) for line in told]
    except msgspec.MsgspecError:
        return
    rooms = [room._replace(folder=printable(room.folder, 200)) for room in rooms]
    for room in rooms[:1]:
        yield from look_at_room("disk", room, choose="set HOPX_STATE_DIR there (--setup) to")
    for room in rooms[1:2]:
        if room.disk != rooms[0].disk or not room.writable:
            yield from look_at_room("disk of its folder", room, choose="lead --cwd to")


_PROBE = f"""\
import sys
sys.path[:] = [path for path in sys.path if path]
mark, wanted, *folders = sys.argv[1:]
if sys.version_info < (3, 11):
    sys.exit({ssh.UNSUITABLE})
try:
    from hopx_magics import __version__ as package
except ImportError:
    package = None
has = package and "hopx_magics " + package or "no hopx_magics"
print("%s%s, with Python %s, %s" % (mark, has, sys.version.split()[0], sys.executable))
if package != wanted:
    sys.exit({ssh.UNSUITABLE})
from json import dumps
from pathlib import Path
from hopx_magics.checkup.machine import room_in
for folder in folders:
    print(mark + dumps(room_in(Path(folder))))
"""
