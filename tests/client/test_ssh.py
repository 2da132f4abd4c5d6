"""The way to another machine's agent by ssh: a real sshd, and what is said when it does not lead there."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from hopx_magics import __version__
from hopx_magics.client.ssh import SshAddress, parse_address
from hopx_magics.client.tunnel import Tunnel, Way
from hopx_magics.errors import SshError
from hopx_magics.settings import Settings
from tests.standins.sshd import Machine
from tests.waiting import is_running, wait_until

Open = Callable[..., Tunnel]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ssh://gpu1", SshAddress("gpu1")),
        ("ssh://Me@GPU1.example.org:2222/", SshAddress("GPU1.example.org", "Me", 2222)),
        ("ssh://[fe80::1%eth0]:22", SshAddress("fe80::1%eth0", None, 22)),
    ],
)
def test_addresses(text: str, address: SshAddress) -> None:
    assert parse_address(text) == address
    assert parse_address(address.url) == address


@pytest.mark.parametrize(
    "text",
    [
        *("ssh://", "ssh://-oProxyCommand=touch", "ssh://-l@host", "ssh://a b", "ssh://host:99999", "ssh://host/path"),
        *(
            "ssh://user:secret@host",
            "ssh://host\n-oX",
            "ssh://host;id",
            "ssh://$(id)@host",
            "ssh://host?x",
            "ssh://a'b",
        ),
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no address|no name of a|password") as refused:
        parse_address(text)
    assert "secret" not in str(refused.value)


@pytest.fixture
def opened(gpu: Machine, state: Settings) -> Iterator[Open]:
    """Opens ways to the machine."""
    with contextlib.ExitStack() as stack:

        def open_(folder: str = "work", **options: str) -> Tunnel:
            way = Way(SshAddress(gpu.name), tuple(gpu.ssh.split()), folder, **options)
            tunnel = Tunnel(way, state.state_folder)
            stack.callback(tunnel.close)
            return tunnel

        yield open_


def test_the_python_of_a_login_is_found_and_what_is_named_is_quoted(opened: Open, gpu: Machine) -> None:
    assert opened().found.workdir == str(gpu.home / "hopx" / "work")
    folder = gpu.home / "it's $(here) `too`; *"
    folder.mkdir()
    python = folder / "python"
    python.write_text(f'#!/bin/sh\necho "$WHO" >> {gpu.home}/asked\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    setup = """export WHO='me & "you"'; echo noise"""
    for named in (str(python), f"~/{python.relative_to(gpu.home)}"):
        opened(python=named, setup=setup)
    assert (gpu.home / "asked").read_text() == 'me & "you"\n' * 2
    gpu.set_path(folder)
    opened()
    assert len((gpu.home / "asked").read_text().splitlines()) == 3


def test_why_there_is_no_python_for_it(opened: Open, gpu: Machine, tmp_path: Path) -> None:
    gpu.set_path(tmp_path / "empty")
    for name in ("python", "python3"):
        script = tmp_path / "empty" / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')  # without what is installed there
        script.chmod(0o755)
    (gpu.home / "nothing").mkdir()
    setup = f"export PYTHONPATH={gpu.home}/nothing"
    with pytest.raises(SshError, match=r"lacks hopx_magics(?s:.*)--install"):
        opened(setup=setup)
    package = gpu.home / "nothing" / "hopx_magics"
    package.mkdir()
    (package / "__init__.py").write_text("__version__ = '0.0.1'\n")
    with pytest.raises(SshError, match=re.escape(f"has hopx_magics 0.0.1, and here is {__version__}")):
        opened(setup=setup)
    with pytest.raises(SshError, match=r"no Python 3\.11 or newer at /nowhere/python(?s:.*)--setup"):
        opened(python="/nowhere/python")
    with pytest.raises(SshError, match=r"--setup failed there: (?s:.*)module"):
        opened(setup="module load cuda")


def test_why_ssh_does_not_lead_there(opened: Open, gpu: Machine) -> None:
    (gpu.folder / "known_hosts").write_text("")
    with pytest.raises(SshError, match=r"(?i)host key(?s:.*)Try ssh gpu in a terminal"):
        opened()
    gpu.write_client(gpu.port)
    (gpu.folder / "authorized_keys").write_text("")
    with pytest.raises(SshError, match=r"Permission denied(?s:.*)Try ssh gpu in a terminal"):
        opened()
    gpu.stop()
    with pytest.raises(SshError, match=r"onnection refused"):
        opened()


def test_a_machine_that_forwards_no_sockets_says_so(opened: Open, gpu: Machine) -> None:
    gpu.stop()
    gpu.start("AllowStreamLocalForwarding no")
    with pytest.raises(SshError, match=r"forwards no sockets"):
        opened()


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose path is short, as those of sockets have to be."""
    with tempfile.TemporaryDirectory(prefix="hopx-test-", dir="/tmp") as folder:
        yield Path(folder)


def test_ssh_ends_with_whoever_began_it(gpu: Machine, short: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom hopx_magics.client.tunnel import Tunnel, Way\n"
        "from hopx_magics.client.ssh import SshAddress\n"
        f"way = Way(SshAddress('gpu'), {tuple(gpu.ssh.split())!r}, 'work')\n"
        f"tunnel = Tunnel(way, Path({str(short)!r}))\n"
        "print('open', flush=True)\nsys.stdin.read()\n"
    )
    for number in (signal.SIGKILL, signal.SIGTERM):
        with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as kernel:
            assert kernel.stdout
            assert kernel.stdout.readline() == b"open\n"
            (ssh,) = [child.pid for child in psutil.Process(kernel.pid).children()]
            sessions = gpu.sessions()
            assert sessions
            os.kill(kernel.pid, number)
        wait_until(lambda pid=ssh: not is_running(pid), "ssh has ended")
        wait_until(lambda pids=sessions: not any(map(is_running, pids)), "its session there has ended")


def test_an_ssh_of_the_user_that_can_be_shared_is_used(opened: Open, gpu: Machine) -> None:
    with tempfile.TemporaryDirectory(prefix="hopx-test-", dir="/tmp") as folder:  # paths of sockets have to be short
        shared = Path(folder, "shared")
        with gpu.config.open("a") as config:
            config.write(f" ControlPath {shared}\n LocalForward {folder}/other /tmp/nowhere\n")
        opened().close()
        with subprocess.Popen([*gpu.ssh.split(), "-M", "-N", gpu.name], stderr=subprocess.DEVNULL) as master:
            wait_until(shared.is_socket, "it is open")
            (gpu.folder / "authorized_keys").write_text("")  # as where a password is asked for
            tunnel = opened()
            assert tunnel.found.workdir == str(gpu.home / "hopx" / "work")
            assert Path(tunnel.socket).is_socket()
            tunnel.close()
            assert not Path(tunnel.socket).exists()
            assert opened().found.pid == tunnel.found.pid
            assert master.poll() is None, "it is the user's own"
            master.terminate()


FOUND = {"url": "http://127.0.0.1:80", "token": "t", "socket": "/s", "pid": 1, "folder": "/f", "workdir": "/w"}


@pytest.mark.parametrize(
    ("told", "begun", "says"),
    [
        (FOUND | {"url": "http://evil.example.org:80"}, "cat >/dev/null", "can't be understood"),
        (FOUND | {"socket": "/s:other.host:22"}, "cat >/dev/null", "can't be understood"),
        ({"url": "http://127.0.0.1:80"}, "cat >/dev/null", "can't be understood"),
        (None, "yes", "can't be understood"),
        (None, r"printf '\033[31mred\n' >&2; exit 3", "exited with 3: .*red"),
        ({"error": "no \x1b[31mroom", "hint": "\n" * 1000}, "cat >/dev/null", "no .*room"),
    ],
)
def test_what_the_other_side_says_is_not_trusted(opened: Open, gpu: Machine, told: Any, begun: str, says: str) -> None:
    (gpu.home / "told").write_text(json.dumps(told) if told else "")
    python = gpu.home / "python"
    python.write_text(f'#!/bin/sh\nprintf %s "$3"\ncat {gpu.home}/told\necho\n{begun}\n')
    python.chmod(0o755)
    with pytest.raises(SshError, match=says) as failed:
        opened(python=str(python))
    assert str(failed.value).replace("\n", "").isprintable()
    assert len(str(failed.value)) < 2000
