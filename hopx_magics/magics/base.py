"""What all magics need: their arguments, the runs that words stand for, and the news for those who come back."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import ContextDecorator, contextmanager
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics

from .arguments import PARSERS
from .line import HelpAsked
from .words import Word

if TYPE_CHECKING:
    from ..run import Run
    from .settings import HopxMagics


class Arrival:
    """Somebody comes to a shell: at the first magic, one line says what has happened since the last time.

    `history_file` tells which file the history is to be kept in, or nothing for the default one.
    """

    def __init__(self, history_file: Callable[[], str]) -> None:
        self._history_file = history_file
        self._used_file = ""
        self._greeted = False

    def greet(self) -> None:
        """Says it once, if there is something to say."""
        from ..api.history import looked, news

        self.choose_history()
        if self._greeted:
            looked()
            return
        self._greeted = True
        if line := news():
            print(line)  # noqa: T201

    def choose_history(self) -> None:
        """Keeps the history in the file that is meant now."""
        from ..api.history import use_history

        if (file := self._history_file()) != self._used_file:
            self._used_file = file
            use_history(file or None)


class _HelpPage(ContextDecorator):
    """Around a magic: shows its help page when that is asked for instead."""

    def __init__(self, magic: Callable[..., Any]) -> None:
        self._magic = magic

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, HelpAsked):
            print(inspect.getdoc(self._magic))  # noqa: T201
        return isinstance(error, HelpAsked)


def _in_short(error: Exception) -> str:
    from ..output.errors import in_short  # it takes time that loading has not got

    if isinstance(error, OSError) and error.filename and error.strerror:
        return in_short(f"{error.filename}: {error.strerror}")
    return in_short(str(error))


class HopxBase(Magics):
    """Base of the classes of magics."""

    shell: InteractiveShell
    arrival: Arrival
    settings: "HopxMagics"

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        for magics in self.magics.values():
            magics.update({name: _HelpPage(magic)(magic) for name, magic in magics.items()})

    @contextmanager
    def _arguments(self, magic: str, line: str, *, greets: bool = True) -> Iterator[Any]:
        """The arguments of a magic, to call Python with: its ValueError and OSError are one line to the user."""
        parser = PARSERS[magic]
        arguments = parser.parse_line(line, self.shell.user_ns)
        if greets:
            self.arrival.greet()
        else:
            self.arrival.choose_history()
        try:
            yield arguments
        except (ValueError, OSError) as error:  # of a file of this machine that can't be read or written
            raise UsageError(f"{parser.prog}: {_in_short(error)}") from None

    def _references(self, words: list[Word]) -> list[str]:
        """Words that are ids or names as they are; variables that hold runs as the ids of these."""
        return [run if isinstance(run, str) else str(run.process_id) for word in words for run in self._meant(word)]

    def _meant(self, word: Word) -> "list[Run | str]":
        """The runs that a variable or an expression holds, or the word itself, as it always is in quotes."""
        from ..run import Run

        is_value = len(word.pieces) == 1 and word.pieces[0].is_value
        value = word.pieces[0].value if is_value else None if word.is_quoted else self.shell.user_ns.get(word.text)
        if isinstance(value, Run):
            return [value]
        if isinstance(value, list | tuple) and value and all(isinstance(item, Run) for item in value):
            return list(value)
        return [word.text]

    def _one(self, word: Word) -> "Run | str":
        """The one run that a word stands for: the word itself, or the Run that a variable holds."""
        meant = self._meant(word)
        if len(meant) > 1:
            raise ValueError(f"{word.text} holds {len(meant)} runs: use one of them, such as {{{word.text}[0]}}")
        return meant[0]

    def _run(self, word: Word, on: str | None) -> "Run":
        """The one run that a word stands for, wherever it is."""
        from ..api.find import attach

        run = self._one(word)
        return attach(run, on=on) if isinstance(run, str) else run

    def _runs(self, words: list[Word], on: list[str] | None) -> "list[Run]":
        from ..api.find import runs_of

        return runs_of([meant for word in words for meant in self._meant(word)], on=on)
