"""A background cell is a cell: variables in, its value and variables out, pictures, the notebook's environment."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from IPython.core.error import UsageError

from hopx_magics.errors import CodeError, ResultError, RunFailed, ValueRefused, WaitTimeout
from hopx_magics.settings import Settings
from tests.conftest import stop_agent
from tests.waiting import wait_until

Run = Callable[[str], Any]


# ---------------------------------------------------------------- in


def test_a_cell_gets_what_it_uses(cell: Run) -> None:
    cell("import pandas as pd\nk = 2\ndf = pd.DataFrame({'a': [1, 2, None]})\nunused = (x for x in [1])")
    cell("def clean(frame):\n    return frame.dropna() * k")
    run = cell("%%hopx_bg --name fit -o run\ndata = clean(df)\ndata.a.sum()")
    assert run.result() == 6.0
    assert run.given == "k, df, clean()"
    assert "with k, df, clean()" in run._repr_mimebundle_()["text/html"]


def test_it_gets_them_as_they_are_at_the_launch(cell: Run) -> None:
    cell("import threading\nnumbers = [1]")
    run = cell("%%hopx_bg -o run --timeout 1h\nnumbers")
    cell("numbers.append(2)")
    assert run.result() == [1]


def test_names_and_none(cell: Run) -> None:
    cell("x, y = 1, 2")
    assert cell("%%hopx_bg --in x,y -q -o run\nsorted(name for name in globals() if len(name) == 1)") is None
    assert cell("run").result() == ["x", "y"]
    cell("%%hopx_bg --in none -q -o run\nx")
    assert isinstance(cell("run").exception().__cause__, NameError)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%%hopx_bg\nrows", "rows is a generator, which can't travel"),
        ("%%hopx_bg --in nosuch\n1", "nosuch is no variable of this notebook"),
        ("%%hopx_bg\nlist(Out)", "Out holds the values of all earlier cells"),
        ("%%hopx_bg\nfile.read()", "file is an io.TextIOWrapper, which can't travel .an open file.\n"),
        ("%%hopx_bg --sweep x=1,2\nuse()", "lock, which use uses, is a thread.lock"),
    ],
)
def test_what_can_t_travel_is_refused_before_anything_is_launched(cell: Run, line: str, message: str) -> None:
    cell("import threading\nfile = open('/dev/null')\nfile.close()\nlock = threading.Lock()")
    cell("rows = (x for x in [1])\ndef use():\n    with lock: pass")
    with pytest.raises(ValueRefused, match=message):
        cell(line)
    assert cell("%hopx_ps").empty


def test_other_languages_get_none(cell: Run) -> None:
    cell("x = 1")
    assert cell("%%hopx_bg --lang bash\necho $x").wait().stdout == "\n"
    for option in ("--in x", "--out x"):
        with pytest.raises(UsageError):
            cell(f"%%hopx_bg --lang bash {option}\necho")


def test_a_sweep_shares_them_and_has_seeds_of_its_own(cell: Run, state: Settings) -> None:
    cell("import numpy as np\nnp.random.seed(0)\nbig = np.ones(100_000)")
    runs = cell("%%hopx_bg --sweep n=1:3 -o runs\nbig.sum() * n, np.random.rand()")
    sums, drawn = zip(*(run.result() for run in runs), strict=True)
    assert sums == (100_000, 200_000, 300_000)
    assert len(set(drawn)) == 3
    cell("np.random.seed(0)")
    again = cell("%%hopx_bg --sweep n=1:3 -o again\nn, np.random.rand()")
    assert {run.result()[1] for run in again} == set(drawn)
    files = list((state.agent_folder / "workspace" / ".hopx" / "values").iterdir())
    assert sum(file.stat().st_size > 500_000 for file in files) == 1


SET = """
import warnings, decimal, locale, logging, random, numpy as np, pandas as pd, matplotlib.pyplot as plt
%matplotlib inline
%config InlineBackend.figure_format = 'svg'
warnings.filterwarnings('ignore')
warnings.filterwarnings('error', 'careful', pd.errors.PerformanceWarning)
warnings.filterwarnings('default', category=FutureWarning, module='nosuch')
decimal.getcontext().prec = 7
locale.setlocale(locale.LC_TIME, 'C.UTF-8')
logging.basicConfig(level=logging.INFO, format='{message}!', style='{')
random.seed(3)
np.random.seed(3)
np.seterr(divide='raise')
np.set_printoptions(precision=2)
pd.set_option('display.max_rows', 4)
plt.rcParams['lines.linewidth'] = 7.5
"""
SEEN = """
import warnings, decimal, locale, logging, random, numpy as np, pandas as pd, matplotlib.pyplot as plt
plt.plot([1])
plt.show()
record = logging.makeLogRecord({"msg": "on"})
set_here = (Warning, pd.errors.PerformanceWarning, FutureWarning)
seen = {
    "warnings": sorted((f[2].__name__, f[0], str(f[1])) for f in warnings.filters if f[2] in set_here),
    "decimal": str(1 / decimal.Decimal(3)), "locale": locale.setlocale(locale.LC_TIME),
    "logging": [(logging.root.level, handler.format(record)) for handler in logging.root.handlers],
    "random": random.random(), "numpy": [np.random.rand(), np.geterr()["divide"], str(np.array([1 / 3]))],
    "pandas": pd.get_option("display.max_rows"), "matplotlib": plt.rcParams["lines.linewidth"],
}
seen
"""
NOTEBOOK = """
import sys, json
from IPython.terminal.interactiveshell import TerminalInteractiveShell
shell = TerminalInteractiveShell.instance()
shell.run_cell("%load_ext hopx_magics\\n" + sys.argv[1]).raise_error()
run = shell.run_cell("%%hopx_bg -o run\\n" + sys.argv[2]).result
here = shell.run_cell(sys.argv[2]).result
there = run.result()
print(json.dumps([here, there, [sorted(shown["data"]) for shown in run.displays if "data" in shown], run.stderr]))
"""


def test_what_an_earlier_cell_set_in_libraries_counts(state: Settings) -> None:
    done = subprocess.run([sys.executable, "-c", NOTEBOOK, SET, SEEN], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    here, there, shown, written = json.loads(done.stdout.splitlines()[-1])
    for name, value in here.items():
        assert there[name] == value, name
    assert here["decimal"] == "0.3333333"
    assert here["logging"] == [[20, "on!"]]
    assert shown[0] == ["image/svg+xml", "text/plain"]
    assert written == ""
    assert done.stderr == "", "own requests are no news to who logs"


def test_the_environment_of_the_notebook(cell: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "module_of_mine.py").write_text("answer = 42")
    monkeypatch.syspath_prepend(tmp_path)
    cell("%hopx_ps")  # the agent is there already
    monkeypatch.setenv("HOPX_TEST_COLOUR", "blue")
    run = cell(
        "%%hopx_bg --env SHAPE=round -o run\nimport os, module_of_mine\nenv = os.environ\n"
        "(env['HOPX_TEST_COLOUR'], env['SHAPE'], module_of_mine.answer)"
    )
    assert run.result() == ("blue", "round", 42)
    before = os.umask(0o027)
    try:
        run = cell("%%hopx_bg -o run\nimport os\nos.umask(0)")
    finally:
        os.umask(before)
    assert run.result() == 0o027


def test_no_value_of_the_environment_is_kept(cell: Run, state: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPX_TEST_SECRET", "value-of-the-environment")
    run = cell("%%hopx_bg -o run\nprint(1)").wait()
    folders = [state.agent_folder / "processes" / run.process_id, state.history_file.parent]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"value-of-the-environment" in path.read_bytes()]


def test_a_rerun_has_the_values_of_the_run(cell: Run) -> None:
    cell("x = 1")
    cell("%%hopx_bg --name first --out y\ny = x + 1\n!true\ny").wait()
    cell("x = 100")
    again = cell("%hopx_rerun first")
    assert again.result() == 2
    assert again["y"] == 2


def test_magics_of_the_notebook_and_of_extensions(cell: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "shouting.py").write_text(
        "def load_ipython_extension(shell):\n    shell.register_magic_function(shout, 'line')\n"
        "def shout(line):\n    return line.upper()"
    )
    cell("%load_ext shouting\nfrom IPython.core.magic import register_cell_magic, register_line_magic\nk = 3")
    cell("@register_line_magic\ndef times(line):\n    return int(line) * k")
    cell("@register_cell_magic\ndef twice(line, cell):\n    print(cell * 2)\n    return k\ntwice = 5")
    assert cell("%%hopx_bg -o run\nx = %times 4\ny = %shout a\nx, y").result() == (12, "A")
    run = cell("%%hopx_bg -o run\n%%twice\nab")
    assert (run.result(), run.stdout) == (3, "ab\nab\n\n3\n")
    run = cell("%%hopx_bg -o run\n1\n%nosuch").wait()
    assert run.stderr == "UsageError: Line magic function `%nosuch` not found.\n"
    cell("%unload_ext shouting")


def test_functions_are_launched_with_their_arguments(cell: Run) -> None:
    cell("import hopx_magics as hopx, functools\nk = 10\ndef scale(x, by=2):\n    return x * by + k")
    assert cell("hopx.launch(scale, args=(3,), kwargs={'by': 5}, name='fit')").result() == 25
    assert cell("hopx.launch(lambda x: x + k, args=(1,))").result() == 11
    assert cell("hopx.launch(functools.partial(scale, 1))").result() == 12
    assert cell("hopx.launch(max, args=(1, 7))").result() == 7
    with pytest.raises(ValueError, match="args and kwargs are for a function"):
        cell("hopx.launch('1', args=(1,))")


# ---------------------------------------------------------------- out


def test_variables_that_are_kept(cell: Run) -> None:
    run = cell(
        "%%hopx_bg --name fit --out model,nosuch,table -o run\n"
        "import pandas as pd\nmodel = {'a': 1}\ntable = pd.DataFrame({'b': range(9)})"
    )
    run.wait()
    assert {name: value.type for name, value in run.values.items()} == {"model": "dict", "table": "DataFrame"}
    assert run["model"] == {"a": 1}
    assert run["table"].b.sum() == 36
    with pytest.raises(KeyError, match="nosuch is not kept of fit: model, table is"):
        run["nosuch"]
    cell("%hopx_pull fit")
    assert cell("model, len(table)") == ({"a": 1}, 9)
    cell("%hopx_pull run model=best")
    assert cell("best") == {"a": 1}


def test_pulling_what_there_is_not(cell: Run) -> None:
    cell("%%hopx_bg --name none -o run\n1").wait()
    with pytest.raises(UsageError, match="nothing is kept of none"):
        cell("%hopx_pull none")
    with pytest.raises(UsageError, match="x is not kept of none"):
        cell("%hopx_pull none x")


def test_what_is_kept_of_a_cell_that_fails_or_is_killed(cell: Run) -> None:
    run = cell("%%hopx_bg --out x -o run\nx = 5\n1 / 0").wait()
    assert run["x"] == 5
    run = cell("%%hopx_bg --out x -o run\nimport time\nx = 6\nprint('set', flush=True)\ntime.sleep(600)")
    wait_until(lambda: run.stdout == "set\n", "it has set x")
    run.kill()
    assert run["x"] == 6


def test_a_failure_is_that_of_a_future(cell: Run) -> None:
    run = cell("%%hopx_bg --name bad -o run\ndef f():\n    raise LookupError('no such thing')\nf()")
    with pytest.raises(
        RunFailed, match=r"(?s)bad .*failed.*line 4, in <module>.*line 3, in f.*no such thing"
    ) as failed:
        run.result()
    assert isinstance(failed.value.__cause__, LookupError)
    assert cell("%%hopx_bg -o run\n1").exception() is None
    run = cell("%%hopx_bg -o run\nimport time\ntime.sleep(600)")
    with pytest.raises(WaitTimeout):
        run.result(0.01)
    run.kill()


def test_a_value_that_can_t_be_kept_says_so(cell: Run) -> None:
    run = cell("%%hopx_bg -o run\n(x for x in [1])")
    with pytest.raises(ResultError, match=r"its result of .*, a generator, is not kept: TypeError"):
        run.result()


def test_results_survive_the_agent_and_this_program(cell: Run, hopx: Any, state: Settings) -> None:
    cell("%%hopx_bg --name score -o run\n0.75").wait()
    stop_agent(state)
    assert hopx.attach("score").result() == 0.75


def test_what_the_notebook_has_defined_is_its_own(cell: Run) -> None:
    cell("from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\nclass MyError(Exception): pass")
    cell("%%hopx_bg --out p -o run\np = [P(1)]\nP(2)")
    assert cell("run.result() == P(2), run['p'] == [P(1)]") == (True, True)
    cell("%%hopx_bg -o run\nraise MyError('no')")
    assert cell("isinstance(run.exception().__cause__, MyError)")


def test_settings_that_can_t_be_pickled_stop_nothing(cell: Run) -> None:
    cell("import pandas as pd\npd.set_option('display.float_format', lambda x: '%.3f' % x)")
    run = cell("%%hopx_bg -o run\nstr(pd.Series([1.0]))")
    assert run.result().split() == ["0", "1.000", "dtype:", "float64"]
    cell("pd.reset_option('display.float_format')")


def test_what_can_t_be_kept_for_want_of_room_fails_nothing(cell: Run) -> None:
    code = "import os\nopen(os.path.join(os.path.dirname(__file__), 'out'), 'w').close()\n1"
    run = cell(f"%%hopx_bg -o run\n{code}").wait()
    assert (run.exit_code, run.stdout) == (0, "1\n")
    assert run.stderr.startswith("what this cell shows and leaves can't be kept")


ODD = {
    "os._exit": ("display(1)\nimport os\nos._exit(3)", 3, ["1"]),
    "its folder": ("import os, shutil\nos.chdir('..')\nshutil.rmtree('below')\n5", 0, ["5"]),
    "a stdout of its own": ("import io, sys\ndisplay(1)\nsys.stdout = io.StringIO()\n3", 0, ["1", "3"]),
    "a forked child that goes on": ("import os\nchild = os.fork()\nif child: os.waitpid(child, 0)\n4", 0, ["4"]),
    "a forked child that fails": (
        "import os\nchild = os.fork()\nif child: os.waitpid(child, 0)\n[0][not child]",
        0,
        ["0"],
    ),
    "all of its own": ("import os, shutil\nshutil.rmtree(os.path.dirname(__file__))\nos._exit(7)", 7, []),
}


@pytest.mark.parametrize("what", ODD)
def test_what_odd_cells_leave(cell: Run, what: str, tmp_path: Path) -> None:
    code, exit_code, shown = ODD[what]
    (tmp_path / "below").mkdir()
    run = cell(f"%%hopx_bg --cwd {tmp_path / 'below'} -o run\n{code}").wait()
    assert (run.status, run.exit_code) == ("failed" if exit_code else "completed", exit_code), run.stderr
    assert [output["data"]["text/plain"] for output in run.displays] == shown
    assert run.stderr.startswith("its folder was deleted") == (what == "all of its own")


def test_what_can_t_be_loaded_is_told_and_the_rest_loads(cell: Run) -> None:
    code = "import sys, types\nm = sys.modules['only_there'] = types.ModuleType('only_there')"
    code += "\nm.A = type('A', (), {'__module__': 'only_there'})\nx, y = m.A(), 5\nx"
    run = cell(f"%%hopx_bg --out x,y -o run\n{code}")
    for load in (run.result, lambda: run["x"], lambda: cell("%hopx_pull run")):
        with pytest.raises(ResultError, match=r"only_there, can't be loaded here(?s:.*)Install only_there"):
            load()
    assert cell("y") == 5


def test_types_of_the_cell_alone_come_back(cell: Run) -> None:
    run = cell("%%hopx_bg -o run\nfrom dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\nP(3)")
    assert run.result().x == 3
    run = cell("%%hopx_bg --out f,A -o run\nclass A: n = 1\ndef f(): return A.n\n[A()]")
    assert run.result()[0].n == 1
    assert (run["f"](), run["A"].n) == (1, 1)


def test_traces_name_the_cells_of_the_notebook(cell: Run) -> None:
    cell("import warnings\nwarnings.simplefilter('default')")  # pytest has others
    cell("k = 0\ndef div(x):\n    # here\n    return x / k\ndef by(f):\n    return lambda x: f(x)")
    first = len(cell("In")) - 2
    cell("def half(x): return div(x)\nboth = by(half)")
    number = first + 3
    run = cell(
        "%%hopx_bg --name fit -o run\nimport warnings\nwarnings.warn('careful')\ndef f(x):\n    return both(x)\nf(1)"
    )
    with pytest.raises(RunFailed) as failed:
        run.result()
    trace = [line for line in run.stderr.splitlines() if set(line.strip()) - set("~^")]
    assert trace == [
        f"Cell [{number}] fit:3: UserWarning: careful",
        "  warnings.warn('careful')",
        "Traceback (most recent call last):",
        f"  Cell [{number}] fit, line 6, in <module>",
        "    f(1)",
        f"  Cell [{number}] fit, line 5, in f",
        "    return both(x)",
        f"  Cell [{first}], line 6, in <lambda>",
        "    return lambda x: f(x)",
        f"  Cell [{first + 2}], line 1, in half",
        "    def half(x): return div(x)",
        f"  Cell [{first}], line 4, in div",
        "    return x / k",
        "ZeroDivisionError: division by zero",
    ]
    shown = "\n".join(run.displays[-1]["traceback"])
    assert run.stderr.rstrip().endswith(shown)
    assert str(failed.value).endswith(shown)
    with pytest.raises(RunFailed, match=rf"  Cell \[{number}\] fit, line 5, in f\n +return both\(x\)"):
        cell("%hopx_wait fit")
    assert "  Cell fit, line 6, in <module>" in cell("%hopx_rerun fit").wait().stderr


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("!true\n1 / 0", "Cell [0] e, line 3, in <module>\n    1 / 0\n"),
        ("!true\ndef f(:\n", "Cell, line 3\n    def f(:\n"),
        ("exec('x = (')", "Cell [0] e, line 2, in <module>\n"),
        ("raise ExceptionGroup('two', [ValueError(1)])", "  |   Cell [0] e, line 2, in <module>\n"),
    ],
)
def test_other_errors_name_it_too(cell: Run, body: str, words: str) -> None:
    number = len(cell("In"))
    try:
        told = cell(f"%%hopx_bg --name e -q -o run\n{body}") or cell("run").wait().stderr
    except CodeError as error:
        told = str(error)
    assert words in told.replace(f"[{number}]", "[0]")


# ---------------------------------------------------------------- shown


def test_what_a_cell_shows_in_its_order(cell: Run) -> None:
    run = cell(
        "%%hopx_bg -o run\nimport matplotlib.pyplot as plt\nprint('first')\nplt.plot([1, 2])\nplt.show()\n"
        "print('then')\nfrom IPython.display import HTML, display\nh = display(HTML('<u>1</u>'), display_id=True)\n"
        "h.update(HTML('<u>2</u>'))\n{'answer': 42}"
    ).wait()
    kinds = [(output["output_type"], output.get("text") or sorted(output["data"])) for output in run.outputs()]
    assert kinds == [
        ("stream", "first\n"),
        ("display_data", ["image/png", "text/plain"]),
        ("stream", "then\n"),
        ("display_data", ["text/html", "text/plain"]),
        ("execute_result", ["text/plain"]),
    ]
    assert run.displays[1]["data"]["text/html"] == "<u>2</u>"
    assert run.stdout.endswith("{'answer': 42}\n")
    shown = run.show()._repr_html_()
    assert "data:image/png;base64," in shown
    assert "<iframe sandbox=" in shown
    assert repr(run.show()).startswith("first\n<Figure")


def test_a_figure_of_the_notebook_is_shown(cell: Run) -> None:
    cell("import matplotlib\nmatplotlib.use('agg')\nimport matplotlib.pyplot as plt\nfig, ax = plt.subplots()")
    run = cell("%%hopx_bg -o run\nfig").wait()
    assert "image/png" in run.displays[-1]["data"], run.stderr
    cell("plt.close('all')")


def test_what_is_cleared_is_gone(cell: Run) -> None:
    code = "from IPython.display import clear_output, display\ndisplay('old')\nclear_output()\ndisplay('new')"
    run = cell(f"%%hopx_bg -o run\n{code}").wait()
    assert [output["data"]["text/plain"] for output in run.displays] == ["'new'"]
    last = cell(f"%%hopx_bg -o run\n{code}\nclear_output(wait=True)").wait()
    assert [output["data"]["text/plain"] for output in last.displays] == ["'new'"], "nothing has come in its place"
    printed = cell(f"%%hopx_bg -o run\n{code}\nclear_output(wait=True)\nprint(1)").wait()
    assert [output.get("text") for output in printed.outputs()] == ["1\n"]


def test_html_of_a_cell_can_t_reach_the_page(cell: Run) -> None:
    run = cell(
        "%%hopx_bg -o run\nfrom IPython.display import HTML, SVG, display\n"
        "display(HTML('<script>alert(1)</script>\"><img src=x onerror=alert(2)>'))\n"
        'display(SVG(\'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(3)"/>\'))'
    ).wait()
    shown = run.show()._repr_html_()
    assert "<script" not in shown
    assert "<img src=x" not in shown
    assert "onload" not in shown


def test_an_endless_display_is_bounded(cell: Run) -> None:
    run = cell("%%hopx_bg -o run\nfrom IPython.display import HTML\nHTML('x' * 20_000_000)").wait()
    assert run.exit_code == 0
    (shown,) = run.displays
    assert list(shown["data"]) == ["text/plain"]
    assert "too large to be kept" in shown["data"]["text/plain"]
