"""What Tab offers."""

from collections.abc import Callable
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from hopx_magics.magics.arguments import PARSERS
from hopx_magics.settings import Settings
from tests.conftest import agent_pid
from tests.magics.completing import completions

Cell = Callable[[str], Any]


def test_completion_of_options_and_values(shell: InteractiveShell, hopx: Any, state: Settings) -> None:
    assert completions(shell, "%hopx_ps --st") == ["--status"]
    assert completions(shell, "df = %hopx_ps --status ru") == ["running"]
    assert completions(shell, "df = %hopx_ps --status=ru") == ["running"]
    assert completions(shell, "%%hopx_bg --lang b\nprint(1)") == ["bash"]
    assert "--timeout" in completions(shell, "%%hopx_bg --t\nx")
    assert completions(shell, "%hopx_ps --output ") == ["none", "tail", "full"]
    assert completions(shell, "%hopx_ps --by sta") == ["status", "started_at"]
    assert completions(shell, "%hopx_ps --status running,fa") == ["failed"]
    assert completions(shell, "%hopx_ps --sort -exit") == ["-exit_code"]
    assert completions(shell, "%hopx_connect lo") == ["local"]
    assert completions(shell, "%hopx_ps --on lo") == ["local"]
    assert completions(shell, "%hopx_ps --on ") == ["local", "all"]
    assert completions(shell, "%hopx_disconnect ") == ["local"]
    assert completions(shell, "%hopx_doctor ") == ["local"]
    assert completions(shell, "%hopx_doctor --") == ["--fix"]
    assert "--status" not in completions(shell, "print(--st")
    completions(shell, "%hopx_logs ")
    assert not agent_pid(state), "no agent is started for a completion"


def test_completion_of_ids_and_names(shell: InteractiveShell, hopx: Any) -> None:
    run = hopx.launch("pass", name="train").wait()
    assert completions(shell, "%hopx_logs tr") == ["train"]
    assert completions(shell, "%hopx_kill proc_") == [run.process_id]
    assert "train" in completions(shell, "x = 1\n%hopx_wait ", line=1)


def test_tab_offers_runs(cell: Cell, shell: InteractiveShell) -> None:
    cell("%%hopx_bg --name sometime -q\npass")
    assert completions(shell, "%hopx_show somet") == ["sometime"]
    assert completions(shell, "%hopx_diff sometime somet") == ["sometime"]


def test_names_come_first_and_the_newest_of_them(cell: Cell, shell: InteractiveShell) -> None:
    runs = [cell(f"%%hopx_bg --name {name}\npass") for name in ("zebra", "ant", "zebra")]
    cell("%hopx_wait")
    ids = [run.run_id for run in reversed(runs)]
    assert completions(shell, "%hopx_show ") == ["zebra", "ant", *ids]
    assert completions(shell, "%hopx_logs ")[:2] == ["zebra", "ant"]
    for magic in ("%hopx_ps", "%hopx_watch", "%hopx_history", "%%hopx_bg"):
        assert completions(shell, f"{magic} --name ") == ["zebra", "ant"]
        assert completions(shell, f"{magic} --name=ze") == ["zebra"]


def test_where_nothing_is_known_no_words_of_python_are_offered(shell: InteractiveShell, hopx: Any) -> None:
    shell.run_cell("my_run = 1")
    for option in ("--name", "--timeout", "--env", "-o", "--tag", "--param lr=", "--lang"):
        assert completions(shell, f"%%hopx_bg {option} my_\nx") in ([], ["my_"])
        assert "my_run" not in completions(shell, f"%%hopx_bg {option} \nx")
    assert completions(shell, "%hopx_ps --nothing-like-this") == ["--nothing-like-this"]


def test_variables_and_files_are_offered_where_they_may_stand(shell: InteractiveShell, hopx: Any) -> None:
    shell.run_cell(
        "import hopx_magics as hopx; my_run = hopx.launch('pass'); my_runs = [my_run]; my_list = [1]",
        store_history=False,
    )
    assert completions(shell, "%hopx_logs my_") == ["my_run", "my_runs"]
    assert completions(shell, "%hopx_show my_") == ["my_run", "my_runs"]
    assert "my_run" in completions(shell, "%%hopx_bg --name train-{my_r\nx")
    assert "my_run" in completions(shell, "%%hopx_bg --param lr={my_r\nx")
    assert any(path.startswith("tests") for path in completions(shell, "%hopx_put test"))
    assert any(path.startswith("tests") for path in completions(shell, "%%hopx_bg --cwd test\nx"))


@pytest.mark.parametrize("magic", ["%%hopx_bg", "%hopx_history"])
def test_a_magic_without_arguments_offers_its_options(shell: InteractiveShell, hopx: Any, magic: str) -> None:
    assert completions(shell, f"{magic} ") == PARSERS[magic.lstrip("%")].options
