"""Who dies in the middle: nothing that is there in part is taken for whole, and nothing stays for ever.

The system itself ends a program in the middle of a write: when a file of it outgrows a limit that was set just before.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hopx_magics.errors import ResultError, RunFailed
from hopx_magics.settings import Settings
from tests.conftest import stop_agent
from tests.waiting import wait_until

Run = Callable[[str], Any]

LIMIT = """
import resource, signal
def limit(handler):
    signal.signal(signal.SIGXFSZ, handler)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
"""
DIES = "limit(signal.SIG_DFL)"
IS_FULL = "limit(signal.SIG_IGN)"
CELL = f"""
import numpy as np
from IPython.display import HTML, display
{LIMIT}
display("before")
big, small = np.ones(1_000_000), 5
"""


def test_while_values_are_sent(hopx: Any, state: Settings) -> None:
    hopx.ps()
    values = {"first": np.ones(50_000), "big": np.ones(1_000_000)}
    script = (
        f"import numpy as np, hopx_magics as hopx\n{LIMIT}\nhopx.ps()\n{DIES}\n"
        "hopx.launch('big.sum()', values={'first': np.ones(50_000), 'big': np.ones(1_000_000)})"
    )
    program = subprocess.run([sys.executable, "-c", script], check=False)
    assert program.returncode == -signal.SIGXFSZ
    assert hopx.ps().empty
    assert hopx.history().empty
    folder = state.agent_folder / "workspace" / ".hopx" / "values"
    left = list(folder.iterdir())
    assert [file.stat().st_size for file in left if file.name.startswith(".")] == [1_000_000]
    assert hopx.launch("big.sum()", values=values).result() == 1_000_000
    for file in left:
        os.utime(file, (0, 0))
    stop_agent(state)
    hopx.ps()
    wait_until(lambda: not [file for file in folder.iterdir() if file.name.startswith(".")], "what is left is removed")
    assert hopx.rerun(hopx.history().run_id[0]).result() == 1_000_000


def test_while_results_are_kept(cell: Run, state: Settings) -> None:
    run = cell(f"%%hopx_bg --out small,big -o run\n{CELL}\n{DIES}\nsmall").wait()
    assert (run.status, run.exit_code) == ("failed", 128 + signal.SIGXFSZ)
    for _ in range(2):
        assert run.values == {}
        with pytest.raises(KeyError, match="nothing is"):
            run["small"]
        with pytest.raises(RunFailed):
            run.result()
        assert [shown["data"]["text/plain"] for shown in run.displays] == ["'before'", "5"]
        stop_agent(state, signal.SIGKILL)


def test_while_something_is_displayed(cell: Run, state: Settings) -> None:
    run = cell(f"%%hopx_bg -o run\n{CELL}\n{DIES}\ndisplay(HTML('x' * 2_000_000))").wait()
    assert (run.status, run.exit_code) == ("failed", 128 + signal.SIGXFSZ)
    assert [shown["data"]["text/plain"] for shown in run.displays] == ["'before'"]


def test_no_room_while_something_is_displayed(cell: Run) -> None:
    more = "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000_000, resource.RLIM_INFINITY))\ndisplay('behind')\nsmall"
    run = cell(f"%%hopx_bg -o run\n{CELL}\n{IS_FULL}\ndisplay(HTML('x' * 2_000_000))\n{more}").wait()
    assert run.result() == 5
    assert run.stderr == "what this cell shows and leaves can't be kept: File too large\n"
    assert [shown["data"]["text/plain"] for shown in run.displays] == ["'before'", "'behind'", "5"]


def test_no_room_while_results_are_kept(cell: Run) -> None:
    run = cell(f"%%hopx_bg --out small,big -o run\n{CELL}\n{IS_FULL}\nbig").wait()
    assert run.exit_code == 0
    assert run["small"] == 5
    for what in (lambda: run["big"], run.result):
        with pytest.raises(ResultError, match="is not kept: File too large"):
            what()
    code = "import os\nos.makedirs(os.path.join(os.path.dirname(__file__), 'out', 'kept.new'))\n5"
    run = cell(f"%%hopx_bg -o run\n{code}").wait()
    with pytest.raises(ResultError, match="there was no room"):
        run.result()
