"""One ssh process that leads to the agent of another machine: how it begins, how long it lives, and why there is none.

It brings up a program there that finds the agent (`far_end.py`), and leads a socket in a private folder here to the
agent's own. It ends when this program does, in whatever way, since nobody holds its stdin then.
"""

import atexit
import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from hopx_magics import __version__

from ..errors import SshError
from ..output.oneline import printable
from ..settings import is_private
from . import ssh
from .reading import Lines, last_line
from .ssh import SshAddress
from .transport import is_loopback

OPEN_TIME = 60.0
"""Seconds for which the other side may say nothing: the start of its agent may take 20, and a login some more."""

ENDS_WITHIN = 2.0
"""Seconds in which ssh ends after the last that it had to say."""

MUX_TIME = 10.0
"""Seconds in which a running ssh has to do what it is told."""

LONGEST_SOCKET = 100 - len(".1234567890123456")
"""Bytes of the path of a socket that every system can have, where ssh adds some of its own for a moment."""

OLD_AFTER = 60.0
"""Seconds after which a socket is removed that nobody listens to."""


class Way(msgspec.Struct, frozen=True):
    """How to get to a machine's agent: its address, which Python there, what is run ahead, and the work folder's name.

    `ssh` are the words of the command that is the user's ssh.
    """

    address: SshAddress
    ssh: tuple[str, ...]
    folder: str
    python: str | None = None
    setup: str | None = None


class Found(msgspec.Struct, frozen=True):
    """What is known of the agent there; `folder` is its own, `workdir` that of what is launched from here."""

    url: str
    token: str
    socket: Annotated[str, msgspec.Meta(pattern="^/[^:]*$")]
    pid: int
    folder: str
    workdir: str
    version: str | None = None
    rsync: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError for an agent to which no socket would lead."""
        if not is_loopback(urlsplit(self.url).hostname or ""):
            raise ValueError(self.url)

    def __repr__(self) -> str:  # the token is nobody's business
        return f"Found({self.folder!r})"


class _Told(msgspec.Struct, frozen=True):
    """What the other side says in a line: that a Python does not suit, or what is wrong, or where the agent is."""

    python: str | None = None
    version: str | None = None
    package: str | None = None
    lacks: str | None = None
    error: str | None = None
    hint: str | None = None
    url: str | None = None


_Struct = TypeVar("_Struct", bound=msgspec.Struct)


class Unsuitable(SshError):
    """There is no Python that can run our package, or it isn't there in this version; `python` could have it."""

    def __init__(self, message: str, *, agent: str, hint: str, python: str | None) -> None:
        super().__init__(message, agent=agent, hint=hint)
        self.python = python


class Tunnel:
    """One ssh process, and the socket here that leads to the agent there. To be closed."""

    def __init__(self, way: Way, state_folder: Path) -> None:
        """Raises SshError."""
        self._way = way
        self._label = f"ssh to {way.address.host}"
        if sys.platform == "win32":
            raise SshError("it isn't available on Windows", agent=self._label, hint="Use it inside WSL.")
        folder, is_own = _socket_folder(state_folder)
        self._own_folder = folder if is_own else None
        name = secrets.token_hex(4)
        self.socket = str(folder / f"{name}.s")
        self._control = shared_control(way) or ssh.Control(str(folder / f"{name}.c"), is_own=True)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._owner = os.getpid()
        self._lines = Lines()
        self._forwarding: list[str] = []
        self._process = self._begin()
        atexit.register(self.close)
        try:
            self.found = self._find()
            self._forward()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends ssh; the agent goes on. In a forked child, whose parent goes on with it, only lets go of it."""
        atexit.unregister(self.close)
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream:
                stream.close()
        if self._owner != os.getpid():
            return
        if self._forwarding and not self._control.is_own:
            self._tell("cancel", *self._forwarding)
        self._process.terminate()
        try:
            self._process.wait(MUX_TIME)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for path in (self.socket, *([self._control.path] if self._control.is_own else [])):
            Path(path).unlink(missing_ok=True)
        if self._own_folder:
            shutil.rmtree(self._own_folder, ignore_errors=True)

    @property
    def words(self) -> list[str]:
        """The command of an ssh that runs something there over this one."""
        return ssh.through(self._way.ssh, self._control.path)

    # ------------------------------------------------------------ how it begins

    def _begin(self) -> "subprocess.Popen[bytes]":
        way = self._way
        arguments = (self._lines.mark, __version__, way.folder)
        script = ssh.in_login_shell(ssh.with_python(FIND, arguments, way.python), way.setup)
        words = [*way.ssh, *ssh.connection_options(self._control), *way.address.words, ssh.remote_command(script)]
        return start(words, self._errors, agent=self._label)

    def _find(self) -> Found:
        """What the program there says of the agent. Raises SshError."""
        unsuitable: list[_Told] = []
        assert self._process.stdout is not None
        for line in self._lines.of(self._process.stdout, OPEN_TIME, self._label):
            told = _decoded(line, _Told)
            if told is None:
                continue
            if told.error is not None:
                raise SshError(printable(told.error, 500), agent=self._label, hint=_hint(told.hint))
            if told.url is None:
                unsuitable.append(told)
                continue
            if found := _decoded(line, Found):
                return found
            break
        raise self._why_not(unsuitable)

    def _why_not(self, unsuitable: Sequence[_Told]) -> SshError:
        """Why nobody said where the agent is: there is no Python for it, or ssh or what it began has failed."""
        try:
            code = self._process.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            return SshError("what it says of its agent can't be understood", agent=self._label, hint=self._try())
        said = last_line(self._errors)
        if code == 255:
            return SshError(said or "ssh ended", agent=self._label, hint=self._try())
        if code == ssh.SETUP_FAILED:
            return SshError(f"--setup failed there: {said or self._way.setup}", agent=self._label)
        if code == ssh.UNSUITABLE:
            return self._unsuitable(unsuitable)
        return SshError(f"what finds the agent there exited with {code}: {said}", agent=self._label, hint=self._try())

    def _unsuitable(self, told: Sequence[_Told]) -> Unsuitable:
        named = f" at {self._way.python}" if self._way.python else ""
        good = next((each for each in told if _version(each) >= (3, 11)), None)
        if good is None:
            found = (
                f": {printable(told[0].python or '', 100)} is {printable(told[0].version or '', 20)}" if told else ""
            )
            return Unsuitable(
                f"there is no Python 3.11 or newer{named}{found}",
                agent=self._label,
                hint='Name one with --python PATH, or make it found with --setup "module load python".',
                python=None,
            )
        if good.package in (None, __version__):
            has = (
                f"lacks {printable(good.lacks or '', 60)}, which hopx_magics needs"
                if good.package
                else "lacks hopx_magics"
            )
        else:
            has = f"has hopx_magics {printable(good.package, 20)}, and here is {__version__}"
        return Unsuitable(
            f"{printable(good.python or '', 200)} {has}",
            agent=self._label,
            hint="--install makes an environment with it there; --python PATH names another Python.",
            python=good.python,
        )

    def _try(self) -> str:
        return f"Try {self._way.address.by_hand} in a terminal: when that asks for nothing any more, this works, too."

    def _forward(self) -> None:
        """Leads the socket here to the agent's. Raises SshError."""
        self._forwarding = ["-L", f"{self.socket}:{self.found.socket}"]
        done = self._tell("forward", *self._forwarding)
        if done.returncode:
            why = printable(done.stderr.decode(errors="replace").strip() or last_line(self._errors), 300)
            raise SshError(f"ssh does not forward a socket: {why}", agent=self._label)
        if not _answers(self.socket):
            raise SshError(
                "the machine forwards no sockets, or its agent does not answer",
                agent=self._label,
                hint="Its sshd has to allow that: AllowStreamLocalForwarding yes.",
            )

    def _tell(self, what: str, *options: str) -> "subprocess.CompletedProcess[bytes]":
        """Tells the running ssh to do something."""
        words = ssh.telling(self._way.ssh, self._control.path, what, *options)
        try:
            return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=MUX_TIME)
        except (OSError, subprocess.TimeoutExpired) as error:
            return subprocess.CompletedProcess(words, 1, b"", str(error).encode())


def shared_control(way: Way) -> ssh.Control | None:
    """That of an ssh which the user has opened to be shared, perhaps with a password that was asked for there.

    None where there is none, or it doesn't live.
    """
    try:
        told = subprocess.run([*way.ssh, "-G", *way.address.words], capture_output=True, timeout=MUX_TIME).stdout
        named = [line.partition(b" ")[2] for line in told.splitlines() if line.startswith(b"controlpath ")]
        path = os.fsdecode(named[0]) if named else ""
        if not Path(path).is_socket():
            return None
        check = ssh.telling(way.ssh, path, "check")
        alive = subprocess.run(check, stdin=subprocess.DEVNULL, capture_output=True, timeout=MUX_TIME).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ssh.Control(path, is_own=False) if alive else None


def start(words: Sequence[str], errors: Any, *, agent: str) -> "subprocess.Popen[bytes]":
    """Starts ssh, out of reach of Ctrl-C and of terminals. Raises SshError."""
    try:
        return subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
    except OSError as error:
        raise SshError(
            f"ssh can't be started: {error}", agent=agent, hint="Install OpenSSH's client, or name it by HOPX_SSH."
        ) from None


def _answers(path: str) -> bool:
    """Whether an agent answers behind a socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(MUX_TIME)
        try:
            probe.connect(path)
            probe.sendall(b"HEAD /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return bool(probe.recv(1))
        except OSError:
            return False


def _decoded(line: bytes, kind: type[_Struct]) -> _Struct | None:
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _version(told: _Told) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in (told.version or "").split("."))
    except ValueError:
        return ()


def _hint(text: str | None) -> str | None:
    return None if text is None else f"There: {printable(text, 500)}"


def _socket_folder(state_folder: Path) -> tuple[Path, bool]:
    """A private folder for sockets, and whether it is for one tunnel alone: where the path of the other is too long."""
    folder = state_folder / "ssh"
    if len(os.fsencode(folder / "12345678.s")) <= LONGEST_SOCKET:
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if is_private(folder):
                _remove_dead(folder)
                return folder, False
    return Path(tempfile.mkdtemp(prefix="hopx-", dir="/tmp")), True


def _remove_dead(folder: Path) -> None:
    """Removes the sockets that programs have left which were killed."""
    for path in folder.glob("*.[sc]"):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            if time.time() - path.stat().st_mtime < OLD_AFTER:
                continue
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()


FIND = f"""\
# Of any version of Python, for the sake of what is said of an old one.
import sys
sys.path[:] = [path for path in sys.path if path]
import json
mark, wanted, folder = sys.argv[1:]
def say(**told):
    sys.stdout.write(mark + json.dumps(told) + "\\n")
    sys.stdout.flush()
package = lacks = None
if sys.version_info >= (3, 11):
    try:
        from hopx_magics import __version__ as package
        from hopx_magics.client.far_end import serve
    except ImportError as error:
        lacks = error.name
if package != wanted or lacks:
    say(python=sys.executable, version="%d.%d" % sys.version_info[:2], package=package, lacks=lacks)
    sys.exit({ssh.UNSUITABLE})
serve(say, folder)
"""
