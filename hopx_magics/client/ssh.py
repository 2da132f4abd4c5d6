"""How the user's own ssh is asked for another machine: its address, its options, and what is run there. Pure."""

import base64
import re
import shlex
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

SCHEME = "ssh://"

CONNECT_TIME = 10
"""Seconds that ssh may take until it speaks with the other machine."""

ALIVE_EVERY = 5
MOST_SILENT = 3
"""ssh asks so often, in seconds, whether the other side is there, and gives it up after so many unanswered times."""

_HOST = re.compile(r"[A-Za-z0-9_.:%][A-Za-z0-9_.:%-]{0,254}")
_USER = re.compile(r"[A-Za-z0-9_.@\\+][A-Za-z0-9_.@\\+-]{0,63}")


class SshAddress(msgspec.Struct, frozen=True):
    """Which machine: a host as ssh knows it, which may be one of the user's own configuration, and who one is there."""

    host: str
    user: str | None = None
    port: int | None = None

    @property
    def url(self) -> str:
        """The address as one text."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{SCHEME}{f'{self.user}@' if self.user else ''}{host}{f':{self.port}' if self.port else ''}"

    @property
    def words(self) -> list[str]:
        """The address as the last words of a command line, ahead of what is to run there."""
        port = ["-p", str(self.port)] if self.port else []
        return [*port, *(["-l", self.user] if self.user else []), "--", self.host]

    @property
    def by_hand(self) -> str:
        """What one types to get there."""
        port = f"-p {self.port} " if self.port else ""
        return f"ssh {port}{f'{self.user}@' if self.user else ''}{self.host}"


def parse_address(url: str) -> SshAddress:
    """The address in `ssh://[user@]host[:port]`. Raises ValueError, also for what ssh could take for an option."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        user, host, port = parts.username, parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{url!r} is no address: {error}") from None
    if parts.password is not None:
        raise ValueError("an address has no password, which the notebook would keep: ssh itself has keys for that")
    if parts.path.strip("/") or parts.query or parts.fragment or not host or not url.isprintable():
        raise ValueError(f"{url!r} is no address: use the form ssh://user@host:port")
    host = parts.netloc.rpartition("@")[2].removesuffix(f":{port}").strip("[]")  # as it is written: urlsplit lowers it
    if not _HOST.fullmatch(host):
        raise ValueError(f"{host!r} is no name of a host")
    if user is not None and not _USER.fullmatch(user):
        raise ValueError(f"{user!r} is no name of a user")
    return SshAddress(host, user, port)


class Control(NamedTuple):
    """The socket by which an ssh is told more while it runs; `is_own` tells whether it is one of ours alone."""

    path: str
    is_own: bool


def connection_options(control: Control | None) -> list[str]:
    """The options of an ssh that asks nothing, and ends when the other side is gone.

    What the user's own configuration says otherwise of forwarding and of commands is for terminals.
    """
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": CONNECT_TIME,
        "ServerAliveInterval": ALIVE_EVERY,
        "ServerAliveCountMax": MOST_SILENT,
        **({"ControlMaster": "yes" if control.is_own else "no", "ControlPath": control.path} if control else {}),
        **({"ControlPersist": "no"} if control else {}),
        "ClearAllForwardings": "yes",
        "ForwardX11": "no",
        "RemoteCommand": "none",
        "RequestTTY": "no",
        "LogLevel": "ERROR",
    }
    return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]


def telling(ssh: Sequence[str], control: str, what: str, *options: str) -> list[str]:
    """The command by which a running ssh is told something: to `check`, to `forward`, to `cancel`."""
    return [*ssh, "-F", "/dev/null", "-S", control, "-O", what, *options, "--", "there"]


def through(ssh: Sequence[str], control: str) -> list[str]:
    """The command that runs something over an ssh that runs already, as an ssh with a host."""
    return [*ssh, "-F", "/dev/null", "-S", control, "-o", "BatchMode=yes", "there"]


def remote_command(script: str) -> str:
    """A line that runs a script of /bin/sh there, whatever the user's shell is, whose quotes may be others."""
    packed = base64.b64encode(script.encode()).decode()
    return f"exec /bin/sh -c 'eval \"$(printf %s {packed} | base64 -d)\"'"


def in_login_shell(script: str, setup: str | None = None) -> str:
    """A script of /bin/sh that runs another one as the user's login would, after `setup`, which is the user's own.

    What a login prints there goes the same way as the output.
    """
    begin = "" if not setup else f"eval {shlex.quote(setup)} >&2 || exit {SETUP_FAILED}\n"
    return (
        'case "${SHELL##*/}" in bash|zsh|ksh|dash|ash|sh) shell=$SHELL;; '
        "*) shell=$(command -v bash || echo /bin/sh);; esac\n"
        f'exec "$shell" -lc {shlex.quote(begin + script)}\n'
    )


SETUP_FAILED = 97
"""How the script exits whose setup has failed."""

UNSUITABLE = 98
"""How a program exits that can't run with this Python."""

VENV = "${XDG_DATA_HOME:-$HOME/.local/share}/hopx_magics/ssh/venv"
"""The environment there that `--install` makes, as a shell writes it."""

_PYTHONS = ("python3", "python", "python3.14", "python3.13", "python3.12", "python3.11")


def with_python(program: str, arguments: Sequence[str], python: str | None) -> str:
    """A script that runs a Python program with the first Python there that suits it, by default one of those found.

    The program exits with `UNSUITABLE` when the next one is to be tried.
    """
    words = " ".join(shlex.quote(word) for word in arguments)
    pythons = [_quoted_path(python)] if python else [f'"{VENV}/bin/python"', *_PYTHONS]
    return (
        f"for python in {' '.join(pythons)}; do\n"
        '  command -v "$python" >/dev/null 2>&1 || continue\n'
        f'  "$python" -c {shlex.quote(program)} {words}\n'
        f"  code=$?; [ $code = {UNSUITABLE} ] || exit $code\n"
        "done\n"
        f"exit {UNSUITABLE}\n"
    )


def _quoted_path(path: str) -> str:
    """A path as one word of a shell, with `~` as the home there."""
    return f'"$HOME"/{shlex.quote(path[2:])}' if path.startswith("~/") else shlex.quote(path)
