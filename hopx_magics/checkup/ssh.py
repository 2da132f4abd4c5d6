"""The way to a machine by ssh, step by step: the program, what it makes of the name, the login."""

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence

from ..client.tunnel import Way
from ..findings import Finding, broken, ok
from ..output.oneline import printable
from .agents import NOT_ANSWERING

PATIENCE = 5.0
"""Seconds that each step may take."""


def look_at_way(way: Way) -> Iterator[Finding]:
    """Each step of an ssh of its own to that machine, until one fails. Nothing is started there but `true`."""
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
    yield _login(way)


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


def _login(way: Way) -> Finding:
    options = ["BatchMode=yes", f"ConnectTimeout={PATIENCE:.0f}", "ControlPath=none", "RemoteCommand=none"]
    given = [word for option in options for word in ("-o", option)]
    done = _run([*way.ssh, *given, *way.address.words, "true"], 2 * PATIENCE)
    if done.returncode == 0:
        return ok("ssh: login", "without a question")
    advice = f"Try {way.address.by_hand} in a terminal: when that asks for nothing any more, this works, too."
    return broken("ssh: login", _said(done), NOT_ANSWERING, advice)
