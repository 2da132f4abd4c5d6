"""What the history keeps of cells besides their text, for when the agent has long forgotten them."""

import contextlib
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hopx_magics.errors import LaunchError, ResultError, RunFailed
from hopx_magics.settings import Settings
from tests.conftest import stop_agent
from tests.waiting import wait_until

Cell = Callable[[str], Any]

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

FIT = f"""%%hopx_bg --name fit --out model,nosuch -q -o run
from base64 import b64decode
from IPython.display import Image
print("first")
display(Image(b64decode("{PNG}")))
print("then")
model = clean(data) * k
float(model.sum())"""


def remember(cell: Cell) -> None:
    """Waits until the history has all that has ended."""
    wait_until(lambda: cell("%hopx_history --status completed,failed").displays.notna().all(), "the history has all")


@pytest.fixture
def forget(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Lets the agent forget what has ended last, once the history has it: it keeps one."""
    monkeypatch.setenv("HOPX_KEEP_FINISHED", "1")
    monkeypatch.setenv("HOPX_HOLD_SECONDS", "0")

    def forget() -> None:
        remember(cell)
        cell("%%hopx_bg --name other -q -o other\npass")
        cell("other").wait()
        wait_until(lambda: list(cell("%hopx_ps").name) == ["other"], "the agent has forgotten the rest")

    return forget


def launch_fit(cell: Cell) -> Any:
    cell("import numpy as np\nk = 2\ndata = np.array([1, 2, -1])\ndef clean(data): return data[data > 0]")
    cell(FIT)
    return cell("run").wait()


def test_all_that_a_cell_has_shown_is_there_when_its_agent_has_forgotten_it(cell: Cell, forget: Any) -> None:
    run = launch_fit(cell)
    shown, displays, page = run.outputs(), run.displays, cell("%hopx_show fit")
    assert [output["output_type"] for output in shown] == ["stream", "display_data", "stream", "execute_result"]
    forget()
    for past in (run, cell("%hopx_attach fit")):
        assert past.outputs() == shown
        assert past.displays == displays
        assert "data:image/png;base64," in past.show()._repr_html_()
        assert past.given == "data, k, clean()"
    assert str(cell("%hopx_show fit")) == str(page)
    assert cell("%hopx_show fit")._repr_mimebundle_() == page._repr_mimebundle_()


def test_the_page_of_a_run_has_all_that_its_cell_got_and_left_and_has_shown(cell: Cell) -> None:
    launch_fit(cell)
    page = cell("%hopx_show fit")
    text = str(page)
    assert text.endswith("── output ──\nfirst\n<IPython.core.display.Image object>\nthen\n6.0")
    for line in (
        r"data +numpy.ndarray, \d+ bytes", r"k +int, 5 bytes", r"clean +function",
        r"model +numpy.ndarray, \d+ bytes", r"nosuch +never set", r"result +float, \d+ bytes",
    ):  # fmt: skip
        assert re.search(f"(?m)^{line}$", text), line
    html = page._repr_mimebundle_()["text/html"]
    assert html.index("first</span>") < html.index("data:image/png;base64,") < html.index("then</span>")


def test_the_trace_of_an_error_is_there_once(cell: Cell) -> None:
    cell("%%hopx_bg --name bad -q -o run\nprint(1)\n1 / 0")
    assert cell("run").wait().status == "failed"
    assert str(cell("%hopx_show bad")).count("ZeroDivisionError") == 1
    assert repr(cell("run").show()).count("ZeroDivisionError") == 1


def test_what_a_program_launched_that_was_killed_is_kept_by_the_next_one(cell: Cell, tmp_path: Path) -> None:
    code = "from IPython.display import HTML; display(HTML('<b>1</b>')); x"
    launching = f"hopx.launch({code!r}, name='orphan', values={{'x': 7}})"
    program = f"import os, hopx_magics as hopx\n{launching}.wait()\nos.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=False)
    remember(cell)
    run = cell("%hopx_attach orphan")
    assert run.result() == 7
    assert run.displays[0]["data"]["text/html"] == "<b>1</b>"
    row = cell("%hopx_history").set_index("name").loc["orphan"]
    assert (row.displays, row.values_in) == (2, ("x",))


def test_small_values_are_there_when_the_agent_has_forgotten_them(cell: Cell, forget: Any) -> None:
    launch_fit(cell)
    forget()
    past = cell("%hopx_attach fit")
    assert past.result() == 6.0
    assert past["model"].tolist() == [2, 4]
    past["model"][0] = 0
    assert past["model"].tolist() == [2, 4]
    assert cell("%hopx_pull fit") is None
    assert cell("model.tolist()") == [2, 4]
    assert cell("run").result() == 6.0


FORGERIES = [
    "UPDATE kept SET content = X'80054B072E' WHERE file GLOB 'value*'",
    "UPDATE kept SET content = randomblob(32) WHERE file = 'seal'",
    "DELETE FROM kept WHERE file = 'seal'",
    """DELETE FROM kept WHERE number = (SELECT number FROM runs WHERE name = 'one');
    UPDATE kept SET number = (SELECT number FROM runs WHERE name = 'one')""",
]


def test_values_of_somebody_else_are_not_loaded(cell: Cell, forget: Any, state: Settings) -> None:
    for number, name in enumerate(("one", "two"), 1):
        cell(f"%%hopx_bg --name {name} -q\n{{{number}: '{name}'}}")
        cell(f"%hopx_wait {name}")
        remember(cell)
    forget()
    with contextlib.closing(sqlite3.connect(state.history_file)) as db:
        db.executescript("CREATE TABLE saved AS SELECT * FROM kept")
        for forgery in FORGERIES:
            assert cell("%hopx_attach one").result() == {1: "one"}
            db.executescript(forgery)
            with pytest.raises(ResultError) as refused:
                cell("%hopx_attach one").result()
            assert "another machine, or by somebody else" in str(refused.value), forgery
            db.executescript("DELETE FROM kept; INSERT INTO kept SELECT * FROM saved")


def test_a_history_of_another_machine_runs_no_code_here(cell: Cell, forget: Any, state: Settings) -> None:
    cell("%%hopx_bg --name one -q -o run\n0.75")
    cell("run").wait()
    forget()
    state.history_key.unlink()
    with pytest.raises(ResultError, match="another machine, or by somebody else"):
        cell("%hopx_attach one").result()


def test_what_else_is_known_of_a_result_that_is_gone(cell: Cell, forget: Any) -> None:
    cell("import numpy as np\nn = 100_000")
    cell("%%hopx_bg --name fit --out model -q -o run\nmodel = np.ones(n)\nmodel * 2")
    cell("run").wait()
    remember(cell)
    cell("%%hopx_bg --name bad -q -o bad\nraise LookupError('no such thing')")
    cell("bad").wait()
    forget()
    past = cell("%hopx_attach fit")
    with pytest.raises(
        ResultError, match=r"its result of fit, a numpy.ndarray of 800,\d+ bytes, is not kept: .*%hopx_rerun"
    ):
        past.result()
    assert repr(past.values["model"]).startswith("<numpy.ndarray: ")
    with pytest.raises(ResultError, match="model of fit, a numpy"):
        past["model"]
    with pytest.raises(RunFailed, match=r"(?s)bad .*failed.*no such thing"):
        cell("%hopx_attach bad").result()
    assert cell("%hopx_attach other").result() is None


def test_a_rerun_has_the_values_that_the_run_had_or_new_ones(cell: Cell, hopx: Any, state: Settings) -> None:
    cell("x, y = 1, 10\ndef f(v): return v + 1")
    cell("%%hopx_bg --name first --out kept -q -o run\nkept = f(x)\nglobals().get(chr(121), 0) + kept")
    cell("run").wait()
    cell("x = 100")
    stop_agent(state)
    again = cell("again = %hopx_rerun first") or cell("again")
    assert again.given == "x, f()"
    assert (again.result(), again["kept"]) == (2, 2)
    assert cell("%hopx_rerun again").result() == 2, "a rerun of it"
    assert cell("%hopx_rerun run --in auto").result() == 101
    named = cell("%hopx_rerun run --in x,y,f -q -o named") or cell("named")
    assert (named.result(), named["kept"]) == (111, 101)
    run = cell("run")
    assert hopx.rerun(run, values={"x": 7, "f": abs}).result() == 7
    for without in (cell("%hopx_rerun run --in none"), hopx.rerun(run, values={})):
        assert isinstance(without.exception().__cause__, NameError)
    assert dict(cell("%hopx_history").groupby("values_in").size()) == {("x", "f"): 5, ("x", "y", "f"): 1, (): 2}


def test_a_rerun_of_a_sweep_s_run_draws_as_that_did(cell: Cell) -> None:
    cell("import random\nrandom.seed(1)\nbase = 10")
    runs = cell("%%hopx_bg --sweep n=1:3 -q -o runs\nimport random\nbase * n, random.random()") or cell("runs")
    results = [run.result() for run in runs]
    cell("random.seed(2)\nbase = 0")
    assert cell("%hopx_rerun {runs[2].run_id}").result() == results[2]
    assert cell("%hopx_rerun {runs[1].run_id} --param n=7").result() == (70, results[1][1])


def test_a_rerun_says_which_values_are_gone(cell: Cell, forget: Any) -> None:
    launch_fit(cell)
    forget()
    with pytest.raises(LaunchError, match=r"launched with are not there .*: data, k, clean\(\)") as refused:
        cell("%hopx_rerun fit")
    assert "--in auto" in str(refused.value)
    assert cell("%hopx_rerun fit --in auto").result() == 6.0


def test_the_difference_of_two_runs_tells_which_values_differ(cell: Cell) -> None:
    code = """
from IPython.display import HTML
kept = len(data) + f(1)
same = "same"
display(HTML("<u>1</u>"), HTML(f"<u>{data}</u>"))
kept"""
    cell("data, other, k = [1, 2], 5, 3\ndef f(v): return v + k")
    cell(f"%%hopx_bg --name one --out kept,same,nosuch -q -o run\n{code}")
    cell("data[0] = 7\nnosuch = 1\ndef f(v): return v - k")
    cell(f"%%hopx_bg --name two --out kept,same -q --in data,f,k,other\n{code}")
    cell("%hopx_wait one two")
    text = str(cell("%hopx_diff one two"))
    assert re.search(
        r"""(?m)^── values in, 1 other is the same ──
 +A +B
data +list, (\d+) bytes +list, \1 bytes, differs
f +function +function, other source
other +— +int, 5 bytes$""",
        text,
    ), text
    assert re.search(
        r"""(?m)^── values out, 1 other is the same ──
 +A +B
kept +int, 5 bytes +int, 5 bytes, differs
\(result\) +int, 5 bytes +int, 5 bytes, differs$""",
        text,
    ), text
    assert re.search(r"(?m)^displays +3 +3, 2 of them differ$", text), text
    cell("%hopx_rerun one -q -o again\nagain.wait()")
    assert "the runs do not differ" in str(cell("%hopx_diff run again"))


def test_columns_of_the_history_tell_of_values_and_displays(cell: Cell) -> None:
    launch_fit(cell)
    cell("%%hopx_bg --lang bash --name shell -q\necho")
    cell("%hopx_wait shell")
    remember(cell)
    frame = cell("%hopx_history").set_index("name")
    assert set(frame.values_in["fit"]) == {"data", "k", "clean"}
    assert frame.values_out["fit"] == ("model",)
    assert list(frame.displays) == [0, 2]
    assert (frame.values_in["shell"], frame.values_out["shell"]) == ((), ())
    assert list(frame[frame.values_in.map(lambda names: "data" in names)].index) == ["fit"]


def test_what_is_removed_is_removed_with_its_displays(cell: Cell, state: Settings) -> None:
    launch_fit(cell)
    remember(cell)
    pruned = cell("%hopx_history --prune --name fit")
    assert pruned.output_mb[0] > len(PNG) / 1e6, "the picture is counted"
    cell("%hopx_history --prune --name fit --yes")
    with sqlite3.connect(state.history_file) as db:
        for table in ("kept", "outputs", "codes"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    db.close()
