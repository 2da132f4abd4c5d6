"""What IPython would complete."""

from IPython.core.interactiveshell import InteractiveShell


def completions(shell: InteractiveShell, text: str, line: int = 0) -> list[str]:
    rows = text.split("\n")
    offset = sum(len(row) + 1 for row in rows[:line]) + len(rows[line])
    from IPython.core.completer import provisionalcompleter

    with provisionalcompleter():
        return [completion.text for completion in shell.Completer.completions(text, offset)]
