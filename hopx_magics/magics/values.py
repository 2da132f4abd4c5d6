"""Variables between the notebook and the cells that run in the background."""

import __future__

from typing import TYPE_CHECKING, Any

from IPython.core.magic import line_magic, magics_class, no_var_expand

from .base import HopxBase

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..values.packed import Packed


def pack(shell: "InteractiveShell", cell: str, wanted: str, language: str) -> "Packed | None":
    """The variables that a cell gets: what it uses (`auto`), nothing (`none`), or those whose names are `wanted`.

    Raises ValueRefused for one that can't travel, ValueError for a cell that is no Python.
    """
    from ..values.packing import Notebook, pack_named, pack_needed
    from ..values.state import library_state

    if wanted == "none" or not _is_python(language, wanted):
        return None
    hidden = {name for name, value in shell.user_ns_hidden.items() if shell.user_ns.get(name, _NOTHING) is value}
    flags = shell.compile.flags & FUTURES
    notebook = Notebook(shell.user_ns, frozenset(hidden), shell.transform_cell, flags)
    try:
        packed = pack_needed(cell, notebook) if wanted == "auto" else pack_named(wanted.split(","), notebook)
    except SyntaxError:  # the launch says what is wrong with it
        return None
    return packed._replace(state=tuple(library_state()))


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

            %hopx_pull RUN [NAME[=NEW] ...] [--on CONNECTION]

        RUN is the id of a run or of a process, the clear beginning of one, a name, or a variable that holds a Run. It
        was launched with `--out NAME,...`, which keeps variables at its end, also when it fails after that. Without a
        NAME all that are kept are brought; with =NEW it gets another name here.

        Options
        -------
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
        with self._arguments("hopx_pull", line) as args:
            run = self._run(args.reference, args.on)
            names = [word.partition("=")[::2] for word in args.names] or [(name, "") for name in run.values]
            try:
                found = {new or name: run[name] for name, new in names}
            except KeyError as error:
                raise ValueError(str(error.args[0])) from None
            if not found:
                raise ValueError(f"nothing is kept of {run.name or run.run_id}: launch it with --out NAME,...")
        self.shell.user_ns.update(found)
