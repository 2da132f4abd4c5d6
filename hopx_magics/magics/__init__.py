"""The only part that imports IPython: the magics, and what loading the extension adds to a shell."""

from IPython.core.interactiveshell import InteractiveShell

from .completion import IDENTIFIER, Completions
from .live import has_live_display, show_run
from .magics import HopxMagics
from .silence import silence_magic

__all__ = ["HopxMagics", "load", "unload"]


def load(shell: InteractiveShell) -> None:
    """Registers the magics, their completion, and the live line of a Run; once, however often it is called."""
    if HopxMagics.__name__ in shell.magics_manager.registry:
        return
    magics = HopxMagics(shell)
    shell.register_magics(magics)
    shell.input_transformers_cleanup.append(silence_magic)
    shell.Completer.custom_matchers.append(Completions().matcher())
    if has_live_display(shell) and shell.display_formatter:
        shell.display_formatter.ipython_display_formatter.for_type_by_name("hopx_magics.run", "Run", show_run)


def unload(shell: InteractiveShell) -> None:
    """Takes back what `load` did, and ends what it left running here. Processes and the agent go on."""
    import sys

    magics = shell.magics_manager.registry.pop(HopxMagics.__name__, None)
    if magics is None:
        return
    for kind, names in magics.magics.items():
        for name in names:
            shell.magics_manager.magics[kind].pop(name, None)
    shell.configurables.remove(magics)
    shell.input_transformers_cleanup.remove(silence_magic)
    matchers = shell.Completer.custom_matchers
    matchers[:] = [matcher for matcher in matchers if getattr(matcher, "matcher_identifier", "") != IDENTIFIER]
    if shell.display_formatter:
        shell.display_formatter.ipython_display_formatter.pop("hopx_magics.run.Run", None)
    if "hopx_magics.api" in sys.modules:
        from .. import api

        for connection in api.session().connections.values():
            connection.watcher.close()
