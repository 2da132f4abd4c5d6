"""What is written on a magic's line, and what becomes of it: values of variables, quotes, names, the environment."""

import datetime
import decimal
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from IPython.core.error import UsageError

from hopx_magics.magics.arguments import PARSERS
from hopx_magics.settings import Settings
from tests.params.conftest import same

Run = Callable[[str], Any]

VARIABLES = {
    "sha": "4e80571",
    "version": "3.10",
    "word": "true",
    "none": "None",
    "nothing": None,
    "lr": 0.1,
    "k": 3,
    "five": np.int64(5),
    "half": np.float32(0.5),
    "flag": np.bool_(True),
    "array": np.array([1, 2.5]),
    "series": pd.Series([1, 2]),
    "numbers": range(3),
    "text": np.str_("1e5"),
    "table": {"k": 7},
    "folder": pathlib.Path("/x"),
    "day": datetime.date(2026, 1, 1),
    "frame": pd.DataFrame({"a": [1]}),
}


def parsed(line: str, option: str, magic: str = "hopx_bg") -> Any:
    return getattr(PARSERS[magic].parse_line(line, VARIABLES), option)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("{sha}", "4e80571"),
        ("$sha", "4e80571"),
        ("{version}", "3.10"),
        ("{word}", "true"),
        ("{none}", "None"),
        ("{nothing}", None),
        ("{text}", "1e5"),
        ("{five}", 5),
        ("{half}", 0.5),
        ("{flag}", True),
        ("{array}", [1.0, 2.5]),
        ("{array[0]}", 1.0),
        ("{series}", [1, 2]),
        ("{numbers}", [0, 1, 2]),
        ('{table["k"]}', 7),
        ("{str(day)}", "2026-01-01"),
        ("{[i for i in range(k)]}", [0, 1, 2]),
        ("{sha!r}", "'4e80571'"),
        ("[{lr},{sha}]", [0.1, "4e80571"]),
        ("run-{k}", "run-3"),
        ("{sha}{k}", "4e805713"),
        ("1e-{k}", 0.001),
        ("1{five}", 15),
        ("{folder}/a.csv", "/x/a.csv"),
        ("$folder.csv", "/x.csv"),
        ("$folder.name", "x"),
        ("${k}5", 35),
        ('"5"', "5"),
        ("'5'", "5"),
        ('"{k}"', "3"),
        ('"[1, 2]"', "[1, 2]"),
        ('""', ""),
        ('"a b {k}"', "a b 3"),
        ('"C:\\new"', "C:\\new"),
        ("5", 5),
        ('["a","b,c"]', ["a", "b,c"]),
        ('{"a": {"b": [1, "two words"]}}', {"a": {"b": [1, "two words"]}}),
        ("{}", {}),
        ("{{k}}", "{k}"),
        ("$$5", "$5"),
        ("$5", "$5"),
        ("'$HOME'", "$HOME"),
    ],
)
def test_a_value_stays_what_it_was(written: str, value: Any) -> None:
    for line in (f"--param x={written}", f"--param=x={written}"):
        ((name, read),) = parsed(line, "param")
        assert name == "x"
        assert same(read, value)
    if written[:1] not in "\"'[" and '"' not in written:  # around all of it quotes only keep it together
        assert same(parsed(f'--param "x={written}"', "param")[0][1], value)


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ('"hello, world",bye', ["hello, world", "bye"]),
        ('"",a', ["", "a"]),
        ('"10:20:0"', ["10:20:0"]),
        ('","', [","]),
        ('"[1, 2]",3', ["[1, 2]", 3]),
        ("{numbers}", [0, 1, 2]),
        ("{array}", [1.0, 2.5]),
        ("{sha}", ["4e80571"]),
        ("{sha},{nothing},5", ["4e80571", None, 5]),
        ("a-{k},b-{sha}", ["a-3", "b-4e80571"]),
        ("1:{five}", [1, 2, 3, 4, 5]),
        ("1:{k},{numbers}", [1, 2, 3, [0, 1, 2]]),
    ],
)
def test_values_of_a_sweep_stay_what_they_were(written: str, values: list[Any]) -> None:
    ((_, read),) = parsed(f"--sweep x={written}", "sweep")
    assert same(read, values)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--param x={frame}", "is a DataFrame: a parameter is a number, a string, or JSON; write it to a file"),
        ("--sweep x={frame}", "is a DataFrame: a parameter is a number, a string, or JSON; write it to a file"),
        ("--param x={day}", "is a date: a parameter is a number, a string, or JSON; give it as one, as with str"),
        ("--param x={folder}", "is a PosixPath: a parameter is"),
        ("--param x={undefined}", "{undefined}: the notebook has no variable 'undefined' (help"),
        ("--name {folde}", "{folde}: the notebook has no variable 'folde' (did you mean 'folder'?)"),
        ("--param x={1/0}", "{1/0}: ZeroDivisionError: division by zero"),
        ("--param x={table['z']}", "{table['z']}: KeyError: 'z'"),
        ("--param x=$undefined", "$undefined: the notebook has no variable 'undefined'; in single quotes a $ is just"),
        ("--cwd $HOPX_OUTER", "those of the environment are for --env alone"),
        ("--env A=$HOPX_NOWHERE", "the notebook has no variable 'HOPX_NOWHERE', nor has the environment"),
        ("--name 'a", "a quote is not closed"),
        ("-rf", "there is no option -rf"),
        ("--quiet=1", "-q/--quiet takes no value"),
        ("fit", "'fit' is one argument too many"),
    ],
)
def test_what_can_not_be_is_said(line: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPX_OUTER", "of the environment")
    with pytest.raises(UsageError) as raised:
        parsed(line, "name")
    assert message in str(raised.value)
    assert len(str(raised.value)) < 400


def test_the_environment_is_for_env_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPX_OUTER", "outer")
    monkeypatch.setenv("sha", "never seen: the notebook comes first")
    assert parsed("--env A=$HOPX_OUTER --env B=$sha-$HOPX_OUTER", "env") == [("A", "outer"), ("B", "4e80571-outer")]
    assert parsed("--env 'A=$HOPX_OUTER'", "env") == [("A", "$HOPX_OUTER")]


def test_no_value_of_the_environment_reaches_the_history(
    cell: Run, state: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOPX_OUTER", "the-secret-value")
    run = cell("%%hopx_bg --env A=$HOPX_OUTER --lang bash\nexpr length $A")
    assert run.wait().stdout == "16\n"
    cell("%hopx_history")
    files = [file for file in state.history_file.parent.glob("history.sqlite*") if file.is_file()]
    assert files
    assert not any(b"the-secret-value" in file.read_bytes() for file in files)


def test_values_arrive_in_the_process_and_in_the_history(cell: Run) -> None:
    cell("import numpy as np\nsha = '4e80571'\nlayers = np.array([64, 32])\nday = None")
    line = "%%hopx_bg --param sha={sha} --param layers={layers} --param day={day} --param n='3.10' -o run"
    run = cell(f"{line}\nprint([sha, layers, day, n])")
    assert run.wait().stdout == "['4e80571', [64, 32], None, '3.10']\n"
    assert run.params == {"sha": "4e80571", "layers": [64, 32], "day": None, "n": "3.10"}
    assert cell("%hopx_rerun {run}").params == run.params


def test_plain_python_takes_the_same_values(hopx: Any) -> None:
    run = hopx.launch("print(x, y)", params={"x": range(2), "y": np.float64(0.5)}).wait()
    assert run.stdout == "[0, 1] 0.5\n"
    for value in (decimal.Decimal(1), VARIABLES["day"], VARIABLES["frame"], np.array(["2026"], "datetime64[ns]")):
        with pytest.raises(ValueError, match="a parameter is a number, a string, or JSON"):
            hopx.launch("pass", params={"x": value})
    with pytest.raises(ValueError, match="the values of 'x' are a DataFrame: use a list"):
        hopx.sweep("pass", {"x": VARIABLES["frame"]})
    with pytest.raises(ValueError, match="longer than 1,000,000 characters: write them to a file"):
        hopx.launch("pass", params={"x": range(10**30)})


def test_a_name_may_look_like_an_option_or_a_variable(cell: Run) -> None:
    cell("%%hopx_bg --name -rf -q\nimport time; time.sleep(1000)")
    assert list(cell("%hopx_ps '-rf'")["name"]) == ["-rf"]
    assert list(cell('%hopx_ps --output none -- "-rf"')["name"]) == ["-rf"]
    with pytest.raises(UsageError, match=r"there is no option -rf(?s:.*)in quotes it is a name"):
        cell("%hopx_kill -rf")
    assert list(cell("%hopx_kill -- -rf")["result"]) == ["killed"]
    cell("%%hopx_bg --name runs -o other -q\nprint('named')")
    cell("%%hopx_bg -o runs -q\nprint('variable')")
    cell("%hopx_wait")
    assert str(cell("%hopx_logs runs")) == "variable"
    assert str(cell("%hopx_logs 'runs'")) == "named"


def test_an_expression_may_hold_runs(cell: Run) -> None:
    cell("%%hopx_bg --sweep x=1,2 -o runs -q\nprint(x)")
    assert len(cell("%hopx_wait {runs}")) == 2
    assert str(cell("%hopx_logs {runs[1]}")) == "2"
    with pytest.raises(UsageError, match=r"runs holds 2 runs: use one of them, such as \{runs\[0\]\}"):
        cell("%hopx_logs runs")


def test_bash_keeps_its_braces(cell: Run) -> None:
    cell("n = 3")
    assert cell("%hopx_sh echo {n} $((n + 1)) '${n}'").stdout == "3 1 $3\n"
    assert cell("%hopx_sh echo a | awk '{print}'").stdout == "a\n"
    assert cell("%hopx_sh echo {a,b}").stdout == "a b\n"
