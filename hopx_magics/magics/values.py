"""Variables between the notebook and the cells that run in the background."""

import __future__

import re
from types import FunctionType
from typing import TYPE_CHECKING, Any

from IPython.core.magic import line_magic, magics_class, no_var_expand

from .base import HopxBase

if TYPE_CHECKING:
    from collections.abc import Iterable

    from IPython.core.interactiveshell import InteractiveShell

    from ..values.packed import Packed


def pack(
    shell: "InteractiveShell", cell: str, wanted: str, language: str, *, without: "Iterable[str]" = ()
) -> "Packed | None":
    """The variables that a cell gets: what it uses (`auto`), nothing (`none`), or those whose names are `wanted`.

    It gets none of the names in `without`, which stand for something else in it.

    Raises ValueRefused for one that can't travel, ValueError for a cell that is no Python.
    """
    from ..values.packing import Notebook, pack_named, pack_needed
    from ..values.showing import showing_of
    from ..values.state import library_state

    if wanted == "none" or not _is_python(language, wanted):
        return None
    hidden = {name for name, value in shell.user_ns_hidden.items() if shell.user_ns.get(name, _NOTHING) is value}
    hidden.update(without)
    flags = shell.compile.flags & FUTURES
    magics, functions, extensions = _own_magics(shell, cell)
    namespace = {**functions, **shell.user_ns} if functions else shell.user_ns
    notebook = Notebook(namespace, frozenset(hidden), shell.transform_cell, flags, shell.user_ns)
    try:
        if wanted != "auto":
            named = pack_named(wanted.split(","), notebook)
            return named._replace(state=tuple(library_state()), showing=showing_of(shell))
        packed = pack_needed(cell, notebook, functions)
    except SyntaxError:  # the launch says what is wrong with it
        return None
    state, showing = tuple(library_state()), showing_of(shell)
    return packed._replace(state=state, showing=showing, magics=magics, extensions=extensions)


_MAGIC = re.compile(r"%(\w+)")


def _own_magics(
    shell: "InteractiveShell", cell: str
) -> tuple[tuple[tuple[str, str, str], ...], dict[str, FunctionType], tuple[str, ...]]:
    """The magics of a cell that IPython hasn't: the notebook's, with their functions, and the extensions of others."""
    magics: list[tuple[str, str, str]] = []
    functions: dict[str, FunctionType] = {}
    extensions: dict[str, None] = {}
    loaded = shell.extension_manager.loaded if shell.extension_manager else ()
    for name in dict.fromkeys(_MAGIC.findall(cell)):
        for kind, known in shell.magics_manager.magics.items():
            function = known.get(name)
            home = str(getattr(type(getattr(function, "__self__", None)), "__module__", ""))
            if isinstance(function, FunctionType):
                home = function.__module__
            if isinstance(function, FunctionType) and home == "__main__":
                own = function.__name__ if shell.user_ns.get(function.__name__) is function else f"_magic_{name}"
                magics.append((kind, name, own))
                functions[own] = function
            extensions.update((found, None) for found in loaded if _is_of(home, found))
    return tuple(magics), functions, tuple(extensions)


def _is_of(module: str, extension: str) -> bool:
    return module in (extension, f"IPython.extensions.{extension}") or module.startswith(f"{extension}.")


_NOTHING: Any = object()

FUTURES = sum(getattr(__future__, name).compiler_flag for name in set(__future__.all_feature_names))
"""The compiler's flags of what is imported from `__future__`, which holds for all later cells."""


def _is_python(language: str, wanted: str) -> bool:
    from ..launches import checked_language

    is_python = checked_language(language) == "python"
    if not is_python and wanted != "auto":
        raise ValueError("--in is for Python cells: use --param, which gives a cell of any language plain values")
    return is_python


@magics_class
class HopxValues(HopxBase):
    """The magic of what cells leave in their variables."""

    @no_var_expand
    @line_magic
    def hopx_pull(self, line: str) -> None:
        """Bring variables that a background cell has kept into the notebook.

        ::

            %hopx_pull RUN [NAME[=NEW] ...] [--trust] [--on CONNECTION]

        RUN is the id of a run or of a process, the clear beginning of one, a name, or a variable that holds a Run. It
        was launched with `--out NAME,...`, which keeps variables at its end, also when it fails after that. Without a
        NAME all that are kept are brought; with =NEW it gets another name here.

        From a sandbox, or any other machine, come numbers, texts, lists and dicts of them, arrays, DataFrames and
        images. All else is a pickle, which may run any code when it is loaded: that takes --trust.

        Options
        -------
        --trust    load what the machine of the run has written, whatever it is
        --on NAME  of this connection, if not the current one

        Examples
        --------
        ::

            %%hopx_bg --name fit --out model,scores
            model, scores = train(df)

            %hopx_wait fit
            %hopx_pull fit
            %hopx_pull fit model=best
        """
        from ..errors import ResultError

        with self._arguments("hopx_pull", line) as args:
            run = self._run(args.reference, args.on)
            names = [word.partition("=")[::2] for word in args.names] or [(name, "") for name in run.values]
            if not names:
                raise ValueError(f"nothing is kept of {run.name or run.run_id}: launch it with --out NAME,...")
            found, failed = {}, []
            for name, new in names:
                try:
                    found[new or name] = run.load(name, trust=args.trust)
                except KeyError as error:
                    raise ValueError(str(error.args[0])) from None
                except ResultError as error:  # the others are to come all the same
                    failed.append(error)
            self.shell.user_ns.update(found)
            if failed:
                raise failed[0]
