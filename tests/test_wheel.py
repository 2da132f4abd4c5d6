"""A built wheel works in an environment that has nothing else, and a source distribution has what tells of it."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

USE = """
import hopx_magics as hopx
run = hopx.launch("print(6 * 7)", name="answer").wait()
assert (run.stdout, run.exit_code) == ("42\\n", 0), run
assert list(hopx.ps()["name"]) == ["answer"]
assert hopx.kill(hopx.launch("import time; time.sleep(100)"))["result"][0] == "killed"

from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "hopx_magics")
assert len(shell.run_line_magic("hopx_ps", "")) == 2

import os, signal, msgspec
from hopx_magics import api
from hopx_magics.protocol.requests import AGENT_FILE, AgentFile
folder = api.session().settings.agent_folder
about = msgspec.json.decode((folder / AGENT_FILE).read_bytes(), type=AgentFile)
os.kill(about.pid, signal.SIGTERM)
print(hopx.__file__)
"""


def test_the_source_distribution_tells_of_itself(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        names = {name.partition("/")[2] for name in files.getnames()}
    assert {"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "tests/test_wheel.py"} <= names
    assert "hopx_magics/live/page/messages.js" in names


@pytest.mark.timeout(1800)
def test_the_wheel_works_in_an_empty_environment(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "hopx_magics/py.typed" in names
    assert not [name for name in names if name.startswith(("tests", "notebooks"))]
    assert [name for name in names if name.endswith("dist-info/licenses/LICENSE")]
    vendor = "hopx_magics/live/page/vendor/"
    of_charts = {"LICENSE-uPlot", "README.md", "uPlot.esm.js", "uPlot.min.css"}
    assert {name.removeprefix(vendor) for name in names if name.startswith(vendor)} == of_charts
    assert [name for name in names if name.endswith(f"dist-info/licenses/{vendor}LICENSE-uPlot")]

    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    python = str(tmp_path / "env" / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", str(wheel)]
    subprocess.run(install, check=True)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env |= {"HOPX_STATE_DIR": str(tmp_path / "state"), "HOPX_HISTORY": str(tmp_path / "history.sqlite")}
    env |= {"IPYTHONDIR": str(tmp_path / "ipython")}
    used = subprocess.run([python, "-c", USE], cwd=tmp_path, env=env, check=True, capture_output=True, text=True)
    assert used.stdout.strip().startswith(str(tmp_path / "env"))
