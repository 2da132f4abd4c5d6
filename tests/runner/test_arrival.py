"""What a cell does first on a machine to which the runner was sent: its files, and room for those of the next ones."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hopx_magics.client.sent_runner import HOME, runner_zip, through_runner
from hopx_magics.models import Launch, RunId

RUN = RunId("0123456789abcdef")

Arrive = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder of what was sent, which is the runner."""
    home = tmp_path / "workspace" / ".hopx"
    (home / "values").mkdir(parents=True)
    name, content = runner_zip()
    (home / "values" / name).write_bytes(content)
    return home


@pytest.fixture
def arrive(home: Path, tmp_path: Path) -> Arrive:
    """Runs a cell there, as an agent does that starts Python with what it is told."""

    def arrive(code: str = "", **options: object) -> "subprocess.CompletedProcess[str]":
        launch = through_runner(Launch(code=code, run_id=RUN, runner=runner_zip()[0], **options))  # type: ignore[arg-type]
        (tmp_path / "sent.py").write_text(launch.code.replace(HOME, str(home)))
        command = [sys.executable, tmp_path / "sent.py"]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    return arrive


def value(folder: Path, name: str, size: int = 3, *, hours: float = 0.0) -> Path:
    """A file with so many bytes, of so many hours ago, which take no room on the disk."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}-{size}"
    with file.open("wb") as content:
        content.truncate(size)
    moment = time.time() - 3600 * hours
    os.utime(file, (moment, moment))
    os.utime(folder, (moment, moment))
    return file


def test_a_cell_begins_in_its_folder_with_its_own_words(arrive: Arrive, home: Path) -> None:
    (home.parent / "data").mkdir()
    code = (
        "import os, sys\nprint(os.getcwd(), __name__, sys.argv == [__file__], 'runner' in ' '.join(sys.path))\n'ä' * 2"
    )
    done = arrive(code, workdir="/workspace/data")
    assert done.stdout == f"{home.parent / 'data'} __main__ True False\n'ää'\n"
    assert (done.stderr, done.returncode) == ("", 0)


def test_what_no_run_has_goes_after_a_while(arrive: Arrive, home: Path) -> None:
    old, fresh, needed = (value(home / "values", name, hours=hours) for name, hours in (("a", 2), ("b", 0.5), ("c", 2)))
    (home / "runs" / "other" / "in").mkdir(parents=True)
    os.link(needed, home / "runs" / "other" / "in" / needed.name)
    assert arrive("1").stdout == "1\n"
    assert (old.exists(), fresh.exists(), needed.exists()) == (False, True, True)


def test_the_newest_runs_keep_their_values_and_those_that_go_on(arrive: Arrive, home: Path) -> None:
    kept = {
        name: value(home / "runs" / name / "in", name, 3_000_000_000, hours=hours)
        for name, hours in (("newest", 1), ("old", 2), ("oldest", 3))
    }
    (kept["oldest"].parent / "pid").write_text(str(os.getpid()))
    os.utime(kept["oldest"].parent, (0, 0))
    assert arrive("1").stdout == "1\n"
    assert {name for name, file in kept.items() if file.exists()} == {"newest", "oldest"}


def test_what_is_not_whole_is_not_taken(arrive: Arrive, home: Path) -> None:
    (home / "values" / "abc-4").write_bytes(b"123")
    done = arrive("1", values=("abc-4",))
    assert (done.returncode, done.stdout) == (126, "")
    assert done.stderr == "hopx: the values of this cell were sent here, and are gone: launch it again\n"
    assert arrive("1", workdir="nowhere").returncode == 126
