"""The magics in a real IPython shell, on a real local agent."""

import inspect
import re
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets import TraitError

from hopx_magics.errors import HopxError, NameWarning, RunFailed, WaitTimeout
from hopx_magics.magics import MAGICS, HopxBackground, HopxProcesses
from hopx_magics.magics.arguments import PARSERS
from hopx_magics.settings import Settings
from tests.conftest import agent_pid

Run = Callable[[str], Any]


def test_a_cell_becomes_a_process(cell: Run) -> None:
    run = cell("%%hopx_bg --name train -o run\nprint('hello')")
    assert repr(run).startswith("<Run train proc_")
    assert cell("run is _")
    frame = cell("%hopx_wait train")
    assert list(frame["status"]) == ["completed"]
    assert list(cell("df = %hopx_ps\ndf")["name"]) == ["train"]
    assert str(cell("%hopx_logs train")) == "hello"


@pytest.mark.parametrize(
    "code",
    [
        *("%hopx_ps;", "%hopx_ps --limit 1 ;", "x = 1\n%hopx_ps --limit 1;\n", "%hopx_ps --limit 1;  # why\n\n# more"),
        *("%hopx_ps \\\n  --limit 1;", "%hopx_ps 'first' ;", "%hopx_ps;\nx = %hopx_ps;\n%hopx_wait ;\nx = 1"),
        *("%%hopx_bg -o runs;\npass", "%%hopx_bg --name a ;\npass", "%hopx_rerun first;", "%hopx_sh echo 'it; is';"),
        "%hopx_wait first;\n%hopx_wait first;",
    ],
)
def test_a_semicolon_silences(cell: Run, code: str) -> None:
    cell("%%hopx_bg --name first -q\npass")
    cell("%hopx_ps")
    assert "columns" in cell.shown.lower()  # type: ignore[attr-defined]
    cell(code)
    assert cell.shown == ""  # type: ignore[attr-defined]
    assert cell("kept = %hopx_ps\n'status' in kept.columns") is True


def test_a_cell_that_is_sent_keeps_its_semicolons(cell: Run) -> None:
    assert cell("%%hopx_bg --lang bash\necho '\n%hopx_ps;'").wait().stdout == "\n%hopx_ps;\n"


def test_the_cell_is_sent_as_it_is_and_options_are_expanded(cell: Run) -> None:
    cell("lr = 0.1\nwhat = 'x y'")
    run = cell(
        "%%hopx_bg --name train-{lr} --env \"K=$what\" --env 'P=C:\\temp\\#1' --lang bash\necho '$lr {lr}' $K $P"
    )
    assert run.name == "train-0.1"
    assert run.wait().stdout == "$lr {lr} x y C:\\temp\\#1\n"
    assert cell("%%hopx_bg --name {{nothing}} -q\npass") is None
    assert "{nothing}" in set(cell("%hopx_ps")["name"])


def test_comments_and_expressions_on_the_line(cell: Run) -> None:
    cell("d = {'k': 7}\nt = 'a b'")
    run = cell("%%hopx_bg --name #1-{t} --env A={d[\"k\"]} # why\nimport os; print(os.environ['A'])")
    assert run.name == "#1-a b"
    assert run.wait().stdout == "7\n"
    assert len(cell("df = %hopx_ps --limit 1   # a DataFrame\ndf")) == 1


def test_ps_options(cell: Run) -> None:
    cell("%%hopx_bg --name a -q\nprint(1)")
    cell("%%hopx_bg --name b -q --lang bash\nexit 4")
    cell("%hopx_wait --no-raise")
    assert list(cell("%hopx_ps a")["name"]) == ["a"]
    assert list(cell("%hopx_ps --status failed,killed")["name"]) == ["b"]
    assert list(cell("%hopx_ps --status failed --status completed --sort -name")["name"]) == ["b", "a"]
    assert list(cell("%hopx_ps --lang bash --since 1h --name 'b*'")["name"]) == ["b"]
    assert len(cell("%hopx_ps --limit 1")) == 1
    assert cell("%hopx_ps --by status")["count"].to_dict() == {"completed": 1, "failed": 1}
    assert list(cell("%hopx_ps a --output none")["stdout"]) == [""]
    cell("%config HopxMagics.output = 'none'")
    assert list(cell("%hopx_ps a")["stdout"]) == [""]
    assert list(cell("%hopx_ps a --output full")["stdout"]) == ["1\n"]


def test_a_filter_that_nothing_matches_says_so(cell: Run) -> None:
    assert cell("%hopx_ps --name zzz*").empty
    assert "No processes yet." in cell.shown  # type: ignore[attr-defined]
    assert cell("%hopx_wait").empty
    assert "nothing is running" in cell.shown  # type: ignore[attr-defined]
    cell("%%hopx_bg --name a -q\npass")
    cell("%hopx_wait")
    assert cell("%hopx_ps --name zzz* --status running,failed --since 2h --lang bash").empty
    said = "none of 1 matches --status running,failed --lang bash --name zzz* --since 2h"
    assert said in cell.shown  # type: ignore[attr-defined]
    assert cell("%hopx_history --name zzz* --tag exp=a").empty
    assert "none of 1 matches --name zzz* --tag exp=a" in cell.shown  # type: ignore[attr-defined]
    assert len(cell("%hopx_ps --name a")) == 1
    assert "none of" not in cell.shown  # type: ignore[attr-defined]


def test_references_may_be_variables(cell: Run) -> None:
    cell("%%hopx_bg -o one -q\nprint(1)")
    cell("%%hopx_bg -o two -q\nprint(2)")
    assert len(cell("both = [one, two]\n%hopx_wait both")) == 2
    assert str(cell("%hopx_logs two")) == "2"
    assert str(cell("%hopx_logs {one.process_id}")) == "1"
    assert len(cell("%hopx_ps one two")) == 2


def test_logs(cell: Run) -> None:
    cell("%%hopx_bg --name n\nimport sys\nprint('10%\\r20%\\nline'); sys.stderr.write('\\x1b[31moops\\x1b[0m\\n');")
    cell("%hopx_wait n")
    assert str(cell("%hopx_logs n")) == "20%\nline"
    assert str(cell("%hopx_logs n --stderr")) == "\x1b[31moops\x1b[0m"
    assert str(cell("%hopx_logs n --both --tail 1")) == "line\n\x1b[31moops\x1b[0m"
    assert cell("%hopx_logs n -f") is None
    assert cell.shown == "10%\r20%\nline\n"  # type: ignore[attr-defined]
    cell("%hopx_logs n -f --tail 1")
    assert cell.shown == "line\n"  # type: ignore[attr-defined]


def test_the_log_of_a_failure_says_that_stderr_has_more(cell: Run) -> None:
    cell("%%hopx_bg --name bad -q\nprint('a')\nraise ValueError('no such data')")
    cell("%hopx_wait bad --no-raise")
    lines = len(str(cell("%hopx_logs bad --stderr")).splitlines())
    assert "stderr has" not in cell.shown  # type: ignore[attr-defined]
    assert str(cell("%hopx_logs bad")) == "a"
    said = re.search(r"a\n\[(stderr has (\d+) lines: (%hopx_logs proc_\w+ --stderr))\]", cell.shown)  # type: ignore[attr-defined]
    assert said
    assert int(said[2]) == lines > 1
    assert "ValueError: no such data" in str(cell(said[3]))
    cell("%hopx_logs bad -f")
    assert f"[{said[1]}]" in cell.shown  # type: ignore[attr-defined]
    assert "stderr has" not in (cell("%hopx_logs bad --both"), cell.shown)[1]  # type: ignore[attr-defined]


def test_wait_raises_for_a_failure_with_the_end_of_its_stderr(cell: Run) -> None:
    cell("%%hopx_bg --name bad -q\nraise ValueError('no such data')")
    with pytest.raises(RunFailed, match=r"bad \(proc_\w+\) failed after .*, exit 1(?s:.*)ValueError: no such data"):
        cell("%hopx_wait bad")
    assert list(cell("%hopx_wait bad --no-raise")["exit_code"]) == [1]
    cell("%%hopx_bg --name slow -q\nimport time; time.sleep(100)")
    with pytest.raises(WaitTimeout):
        cell("%hopx_wait slow --timeout 0.2s")
    assert len(cell("%hopx_wait bad slow --any --no-raise")) == 2
    assert list(cell("%hopx_kill slow")["result"]) == ["killed"]
    assert cell("%hopx_wait").empty


def test_a_name_means_its_whole_sweep(cell: Run) -> None:
    cell("%%hopx_bg --name fit --sweep a=1:4 -q\nimport time\nif a > 1: time.sleep(1000)\nraise ValueError(a)")
    cell("%hopx_wait fit --any --no-raise")
    with pytest.raises(WaitTimeout):
        cell("%hopx_wait fit --timeout 0.1s")
    assert list(cell("%hopx_kill fit")["result"].sort_values()) == ["already finished"] + ["killed"] * 3
    with pytest.raises(
        RunFailed, match=r"^4 of 4 failed or were killed\nfit  a=1 \(proc_\w+\) failed(?s:.*)ValueError: 1"
    ):
        cell("%hopx_wait fit")
    with pytest.warns(NameWarning, match="newest of 4 named fit"):
        cell("%hopx_logs fit")


def test_a_long_name_is_kept_and_cut_where_it_is_shown(cell: Run) -> None:
    name = "long name " * 30 + "end"
    run = cell(f"%%hopx_bg --name '{name}'\npass")
    assert list(cell(f"%hopx_wait '{name}'")["name"]) == [name]
    assert len(cell(f"%hopx_ps --name '{name}'")) == 1
    assert list(cell(f"%hopx_history --name '{name}'")["name"]) == [name]
    assert name not in repr(run)
    with pytest.raises(UsageError, match="a name of 1,000 characters can't be: use 900 at most"):
        cell(f"%%hopx_bg --name {'n' * 1000}\npass")


def test_kill(cell: Run) -> None:
    for name in "abc":
        cell(f"%%hopx_bg --name {name} -q\nimport time; time.sleep(100)")
    assert list(cell("%hopx_kill a")["result"]) == ["killed"]
    killed = cell("%hopx_kill --all")
    assert set(killed["name"]) == {"b", "c"}
    assert set(killed["result"]) == {"killed"}
    assert list(cell("%hopx_kill a")["result"]) == ["already finished"]


def test_connect(cell: Run, hopx: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = cell("%hopx_connect")
    assert frame[["name", "current"]].to_dict("records") == [{"name": "local", "current": True}]
    assert pd.isna(frame["url"][0])
    cell("%hopx_ps")
    from hopx_magics import api

    endpoint = api.session().connection().agent.transport._endpoint
    assert endpoint is not None
    monkeypatch.setenv("MY_TOKEN", endpoint.token or "")
    connection = cell(f"%hopx_connect {endpoint.url} --as other --token-env MY_TOKEN")
    assert repr(connection) == f"<Connection other: {endpoint.url}>"
    cell("%%hopx_bg --name there -q\nprint(1)")
    assert list(cell("%hopx_ps")["connection"]) == ["other"]
    assert list(cell("%hopx_wait there --on local")["connection"]) == ["local"]
    assert cell("%hopx_connect")["current"].to_list() == [False, True]
    cell("%hopx_connect local")
    assert list(cell("%hopx_ps there")["connection"]) == ["local"]


MISTAKES = [
    ("%%hopx_bg\n  \n", "there is no code"),
    ("%%hopx_bg train\npass", "'train' is one argument too many; --name train gives that name"),
    ("%hopx_ps --nothing", "there is no option --nothing; it has --status, --lang"),
    ("%hopx_logs a -n 5", "there is no option -n; it has --stderr, --both, --tail"),
    ("%hopx_logs a --follow=1", "-f/--follow takes no value"),
    ("%hopx_sandboxes --x", "there is no option --x; it has none"),
    ("%hopx_ps -status running", "did you mean --status?"),
    ("%hopx_history train", "'train' is one argument too many; --name train chooses by name"),
    ("%hopx_ps --sort stauts", "there is no column 'stauts': did you mean 'status'?"),
    ("%hopx_diff one", "%hopx_diff: ANOTHER_RUN is missing (help: %hopx_diff?)"),
    ("%hopx_diff", "%hopx_diff: RUN and ANOTHER_RUN are missing"),
    ("%hopx_sh", "there is no command: %hopx_sh ls"),
    ("%hopx_connect --as x", "--as is for a URL, or the id of a sandbox"),
    ("%hopx_connect local --token-env X", "--token-env is for the URL of an agent"),
    ("%hopx_connect https://", "'https://' is not a URL: use the form https://HOST"),
    ("%%hopx_bg --timeout banana\npass", "--timeout: 'banana' is no time limit: use 90s"),
    ("%%hopx_bg --env NOEQUALS\npass", "--env: 'NOEQUALS' is not of the form NAME=VALUE"),
    ("%%hopx_bg --lang cobol\npass", "'cobol': use python, bash, javascript, go"),
    ("%%hopx_bg --nmae x\npass", "there is no option --nmae; did you mean --name?"),
    ("%%hopx_bg -o 1x\npass", "can't be the name of a variable"),
    ("%%hopx_bg --name 'x\npass", "a quote is not closed"),
    ("%%hopx_bg name\npass", "'name' is one argument too many"),
    ("%hopx_ps --since 999999999w", "no span of time"),
    ("%hopx_connect local --as here", "only a new connection"),
    ("%hopx_kill --status completed", "queued or running"),
    ("%hopx_ps --status runing", "'runing' is no status: use queued, running"),
    ("%hopx_ps --output all", "use none, tail, full"),
    ("%hopx_ps --sort", "--sort: expected one argument"),
    ("%hopx_ps --limit -3", "'-3' is no whole number"),
    ("%hopx_ps --sort age", "there is no column 'age'"),
    ("%hopx_logs", "ID"),
    ("%hopx_kill", "say what to kill"),
    ("%hopx_wait --timeout soon", "'soon' is no span of time"),
    ("%hopx_connect ftp://host", "use the form https://HOST"),
    ("%hopx_connect https://host --token-env NOT_THERE", "NOT_THERE is not set"),
]


@pytest.mark.parametrize(("code", "words"), MISTAKES, ids=[code.splitlines()[0] for code, _ in MISTAKES])
def test_a_mistake_is_one_line(cell: Run, code: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        cell(code)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("%hopx_connect http://example.com", "InsecureConnection: "),
        ("%hopx_logs nobody", "UnknownProcess: "),
        ("%hopx_ps --on nowhere", "UnknownConnection: "),
        ("%hopx_connect http://127.0.0.1:1 --token-env HOME", "AgentUnreachable: "),
    ],
)
def test_an_error_is_three_lines_at_most_and_stops_a_run_all(
    cell: Run, code: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOPX_RETRY_SECONDS", "0")
    with pytest.raises(HopxError):
        cell(code)
    shown = cell.shown.strip()  # type: ignore[attr-defined]
    assert shown.startswith(words)
    assert len(shown.splitlines()) <= 3


# ---------------------------------------------------------------- help, completion, loading


@pytest.mark.parametrize("name", PARSERS)
def test_the_help_names_every_option_and_shows_examples(name: str) -> None:
    (home,) = [magics for magics in MAGICS if hasattr(magics, name)]
    text = inspect.getdoc(getattr(home, name)) or ""
    usage = text.split("Options\n")[0]
    for option in PARSERS[name].options:
        assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text), option
        assert option in usage or option in ("--quiet", "--follow"), option
    assert "Examples\n" in text
    for line in text.splitlines():
        assert len(line) <= 120


@pytest.mark.parametrize(
    "line", ["%hopx_ps --help", "x = %hopx_ps train -h", "%%hopx_bg --name a --help\nprint(1)", "%%hopx_bg --help"]
)
def test_help_can_be_asked_for_by_an_option(cell: Run, state: Settings, line: str) -> None:
    assert cell(line) is None
    magic = HopxBackground.hopx_bg if "hopx_bg" in line else HopxProcesses.hopx_ps
    assert inspect.getdoc(magic) in cell.shown  # type: ignore[attr-defined]
    assert not agent_pid(state), "nothing is launched"


def test_a_terminal_waits_for_the_lines_of_a_cell(shell: InteractiveShell) -> None:
    assert shell.check_complete("%%hopx_bg --name a\n")[0] == "incomplete"
    assert shell.check_complete("%%hopx_bg --name a\nprint(1)\n")[0] == "incomplete"
    assert shell.check_complete("%%hopx_bg --name a\nprint(1)\n\n")[0] == "complete"
    assert shell.check_complete("%%hopx_bg --help\n")[0] == "complete"


def test_help_of_a_command_is_its_own(cell: Run) -> None:
    assert "Run one line of bash" not in cell("%hopx_sh bash --help").stdout
    assert cell("%hopx_sh --help") is None
    assert "Run one line of bash on the agent" in cell.shown  # type: ignore[attr-defined]


def test_a_magics_help_page(shell: InteractiveShell) -> None:
    info = shell.object_inspect("%hopx_ps")
    assert info["found"]
    assert "List processes as a pandas DataFrame" in info["docstring"]


def test_a_setting_that_can_not_be_used_is_refused_at_once(shell: InteractiveShell) -> None:
    with pytest.raises(TraitError, match="90s"):
        shell.magics_manager.registry["HopxMagics"].timeout = "soon"


def test_loading_twice_and_unloading(ipython: InteractiveShell) -> None:
    def state() -> tuple[Any, ...]:
        manager = ipython.magics_manager
        return (
            sorted(manager.magics["line"]),
            sorted(manager.magics["cell"]),
            sorted(manager.registry),
            len(ipython.configurables),
            len(ipython.Completer.custom_matchers),
        )

    before = state()
    with capture_output() as captured:
        ipython.run_line_magic("load_ext", "hopx_magics")
        loaded = state()
        ipython.run_line_magic("reload_ext", "hopx_magics")
        assert state() == loaded
        import hopx_magics

        hopx_magics.load_ipython_extension(ipython)
        assert state() == loaded
        ipython.run_line_magic("unload_ext", "hopx_magics")
    assert state() == before
    assert loaded != before
    assert captured.stdout + captured.stderr == ""
