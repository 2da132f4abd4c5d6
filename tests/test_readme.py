"""The README: its commands are those that CI runs, and its code is code that runs."""

import re
from pathlib import Path
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)


def test_the_readme_opens_with_one_sentence_and_two_commands() -> None:
    title, sentence, *rest = [block for block in README.split("\n\n") if block.strip()]
    assert title == "# hopx_magics"
    assert sentence.count(". ") == 0
    assert sentence.endswith(".")
    assert [block.strip().strip("`").removeprefix("sh").strip() for block in rest[:2]] == COMMANDS
    assert COMMANDS[0].endswith(".venv/bin/jupyter lab notebooks/quickstart.ipynb")


def test_ci_runs_the_second_command_as_it_stands() -> None:
    assert COMMANDS[1] in (ROOT / ".ci" / "run").read_text().splitlines()


def test_every_magic_is_in_the_readme() -> None:
    from hopx_magics.magics.arguments import PARSERS

    for name in PARSERS:
        assert f"%{name}" in README


def test_its_examples_run(hopx: Any) -> None:
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"hist_file": ":memory:"}}))
    try:
        for example in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
            with capture_output():
                shell.run_cell(example).raise_error()
        assert shell.user_ns["run"].stdout == "42\n"
        shell.run_line_magic("unload_ext", "hopx_magics")
    finally:
        InteractiveShell.clear_instance()


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
