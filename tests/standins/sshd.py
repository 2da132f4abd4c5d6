"""Another machine to be reached by ssh: a real sshd on loopback, whose sessions have another home and state folder."""

import contextlib
import getpass
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

import psutil
import pytest

import hopx_magics
from hopx_magics.settings import Settings, read_settings
from tests.waiting import wait_until

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def require_sshd() -> str:
    """The path of sshd; skips the test where there is none, or fails it where that was asked for."""
    if SSHD and shutil.which("ssh"):
        return SSHD
    if os.environ.get("HOPX_REQUIRE_SSHD"):
        pytest.fail("there is no sshd: install openssh-server")
    pytest.skip("there is no sshd")


def new_key(path: Path) -> str:
    """Makes a pair of keys, and returns the public one."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path.with_name(f"{path.name}.pub").read_text()


class Machine:
    """A machine called `name`: its sessions have `home` as their home, and its agent is one of its own.

    `ssh` is the command that knows how to get to it by its name. Its `environment` may be changed before it is started.
    """

    def __init__(self, folder: Path, name: str = "gpu") -> None:
        self.name = name
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        self.environment = {
            "HOME": str(self.home),
            "HOPX_STATE_DIR": str(folder / "s"),
            "HOPX_KILL_GRACE_SECONDS": "1",
            "PYTHONPATH": str(Path(hopx_magics.__file__).parents[1]),
        }
        self.set_path(Path(sys.executable).parent)
        key = new_key(folder / "user_key")
        (folder / "authorized_keys").write_text(key)
        self._host_key = new_key(folder / "host_key")
        self.port = _free_port()
        self.config = folder / "ssh_config"
        self.write_client(self.port)
        self.ssh = f"ssh -F {self.config}"
        self._sshd: subprocess.Popen[bytes] | None = None

    def set_path(self, *folders: Path) -> None:
        """Lets a login there look for programs in these folders first."""
        path = shlex.quote(":".join(map(str, folders)))
        (self.home / ".profile").write_text(f"export PATH={path}:/usr/bin:/bin\necho Welcome!\n")

    def write_client(self, port: int) -> None:
        """Lets ssh know how it is reached: by this port of loopback."""
        (self.folder / "known_hosts").write_text(f"{self.name} {self._host_key}")
        self.config.write_text(
            f"Host {self.name}\n HostName 127.0.0.1\n Port {port}\n User {getpass.getuser()}\n"
            f" IdentityFile {self.folder}/user_key\n IdentitiesOnly yes\n HostKeyAlias {self.name}\n"
            f" UserKnownHostsFile {self.folder}/known_hosts\n GlobalKnownHostsFile /dev/null\n"
            " StrictHostKeyChecking yes\n"
        )

    @property
    def settings(self) -> Settings:
        """Those of its agent."""
        return read_settings(self.environment)

    def start(self, *options: str) -> None:
        """Starts sshd, and waits until it listens; by another port if somebody has taken that one meanwhile."""
        while not self._listens(*options):
            self.port = _free_port()
            self.write_client(self.port)

    def _listens(self, *options: str) -> bool:
        folder, log = self.folder, self.folder / "sshd.log"
        variables = " ".join(f'{name}="{value}"' for name, value in self.environment.items())
        (folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {folder}/host_key\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nPasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\nPermitRootLogin yes\nMaxStartups 100\n"
            f"SetEnv {variables}\n" + "".join(f"{option}\n" for option in options)
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        assert SSHD
        with log.open("wb") as output:
            sshd = subprocess.Popen(
                [SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=output, start_new_session=True
            )
        wait_until(lambda: sshd.poll() is not None or "Server listening" in log.read_text(), "sshd listens")
        if sshd.poll() is not None:
            assert "Address already in use" in log.read_text(), log.read_text()
            return False
        self._sshd = sshd
        return True

    def stop(self) -> None:
        """Ends sshd with all its sessions, as when the machine is switched off, but for what the agent runs."""
        if self._sshd is None:
            return
        for pid in [*self.sessions(), self._sshd.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._sshd.wait()
        self._sshd = None

    def clear(self) -> None:
        """Ends all that was begun there and goes on without any connection."""
        wait_until(lambda: not self._end_all(), "nothing is left of the machine")

    def _end_all(self) -> int:
        """Ends whatever has this machine's home, and tells how many those were."""
        count = 0
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("HOME") == str(self.home) and process.status() != psutil.STATUS_ZOMBIE:
                    process.kill()
                    count += 1
        return count

    def sessions(self) -> list[int]:
        """The pids of sshd's own processes for those who are connected."""
        assert self._sshd
        found, parents = [], {self._sshd.pid}
        for _ in range(3):
            children = {int(pid) for parent in parents for pid in _children(parent)}
            found += [pid for pid in children if "sshd" in _command(pid)]
            parents = children
        return found


def _children(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


Lost = Literal["all", "replies"]


class Wire:
    """A piece of network on the way to a port. While it is cut, what is sent gets lost, as on a dead network."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._lost: Lost | None = None
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def cut(self, lost: Lost = "all") -> None:
        """Loses all that is sent from now on, or all that is sent back."""
        self._lost = lost

    def mend(self) -> None:
        """Lets new connections through; those that were cut stay dead."""
        self._lost = None

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._ends.append(near)
                if self._lost is None:
                    far = socket.create_connection(("127.0.0.1", self._target))
                    self._ends.append(far)
                    there, back = (near, far, ("all",)), (far, near, ("all", "replies"))
                    for way in (there, back):
                        threading.Thread(target=self._carry, args=way, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, loses: Sequence[Lost]) -> None:
        with contextlib.suppress(OSError):
            is_dead = False
            while data := source.recv(65536):
                is_dead = is_dead or self._lost in loses
                if not is_dead:
                    target.sendall(data)
            if not is_dead and self._lost not in loses:
                target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Ends all connections."""
        for end in (self._listener, *self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
