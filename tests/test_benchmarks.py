"""The benchmarks run: each part once, in its smallest size. How long anything takes is nothing that a test says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import report
from tests.benchmarks.__main__ import PARTS

ROOT = Path(__file__).parent.parent


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.benchmarks", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[report.Row], str]:
    """The rows of all parts, as they were written into the file, and what was printed."""
    file = tmp_path_factory.mktemp("benchmarks") / "rows"
    done = run("--smallest", "--json", file)
    assert done.returncode == 0, done.stdout + done.stderr
    return report.read(file), done.stdout


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", PARTS)
def test_each_part_measures_what_it_names(part: str, measured: tuple[list[report.Row], str]) -> None:
    rows = [row for row in measured[0] if row.part == part]
    skipped = [row.note for row in rows if row.note.startswith("skipped")]
    if skipped and not (os.environ.get("CI") or os.environ.get("HOPX_REQUIRE_BROWSER")):
        pytest.skip(skipped[0])
    assert rows
    assert all(row.value is not None for row in rows), skipped
    assert all(report.line(row) in measured[1] for row in rows)


def test_one_measurement_of_the_package_in_another_checkout(tmp_path: Path) -> None:
    package = tmp_path / "hopx_magics"
    package.mkdir()
    (package / "__init__.py").write_text("def load_ipython_extension(shell): print('the other one')")
    done = run("loading.load", "--smallest", "--package", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "the other one" in done.stdout


def test_a_wrong_name_tells_the_right_ones() -> None:
    done = run("load", "--smallest")
    assert done.returncode != 0
    assert "there is no part 'load': use machine, loading" in done.stderr


def test_two_runs_side_by_side(tmp_path: Path) -> None:
    runs = {"before": [("a", 10.0), ("gone", 1.0)], "after": [("a", 5.0), ("new", 2.0)]}
    for name, rows in runs.items():
        lines = [f'{{"part": "p", "what": "{what}", "value": {value}, "result": "{name}"}}' for what, value in rows]
        (tmp_path / name).write_text("\n".join(lines))
    done = run("--compare", tmp_path / "before", tmp_path / "after")
    assert done.stdout.splitlines()[2:] == [
        "| p | a | 10 ms | 5 ms | 0.50 | before | after |  |",
        "| p | gone | 1 ms |  |  | before |  |  |",
        "| p | new |  | 2 ms |  |  | after |  |",
    ]
