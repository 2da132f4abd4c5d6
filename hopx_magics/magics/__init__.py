"""The only part that imports IPython: the magics, and what loading the extension adds to a shell."""

import sys

from IPython.core.interactiveshell import InteractiveShell

from .background import HopxBackground
from .base import Arrival, HopxBase
from .completion import IDENTIFIER, Completions
from .connections import HopxConnections
from .doctoring import HopxDoctor
from .following import HopxFollowing
from .frame_views import show_frames, show_frames_no_more
from .history import HopxHistory
from .live_line import has_live_display, show_document
from .live_table import show_table
from .processes import HopxProcesses
from .queueing import HopxQueue
from .run_line import Mending, show_line, show_sweep
from .settings import HopxMagics
from .shell import HopxShell
from .silence import give_body, silence_magic
from .values import HopxValues

__all__ = [
    "MAGICS",
    "HopxBackground",
    "HopxConnections",
    "HopxDoctor",
    "HopxFollowing",
    "HopxHistory",
    "HopxMagics",
    "HopxProcesses",
    "HopxQueue",
    "HopxShell",
    "HopxValues",
    "load",
    "unload",
]


MAGICS: tuple[type[HopxBase], ...] = (
    *(HopxMagics, HopxBackground, HopxProcesses, HopxFollowing, HopxHistory, HopxQueue, HopxConnections, HopxShell),
    *(HopxValues, HopxDoctor),
)

_TRANSFORMERS = (silence_magic, give_body)

_SHOWN = (
    *("hopx_magics.run.Run", "hopx_magics.sweeps.Sweep", "hopx_magics.live.table.LiveTable"),
    "hopx_magics.display.document.Document",
)
"""What this package shows in ways of its own."""

_mending: list[Mending] = []


def load(shell: InteractiveShell) -> None:
    """Registers the magics, their completion, and the live line of a Run; once, however often it is called."""
    if HopxMagics.__name__ in shell.magics_manager.registry:
        return
    settings, history = HopxMagics(shell), HopxHistory(shell)
    arrival = Arrival(lambda: history.file)
    made: dict[type[HopxBase], HopxBase] = {HopxMagics: settings, HopxHistory: history}
    for kind in MAGICS:
        magics = made.get(kind) or kind(shell)
        magics.arrival, magics.settings = arrival, settings
        shell.register_magics(magics)
    shell.input_transformers_cleanup.extend(_TRANSFORMERS)
    shell.events.register("post_execute", _offer_accessor)
    show_frames(shell)
    shell.Completer.custom_matchers.append(Completions(shell.user_ns).matcher())
    _mending.append(Mending())
    _mending[-1].begin(shell)
    if shell.display_formatter:
        displayed = shell.display_formatter.ipython_display_formatter
        displayed.for_type_by_name("hopx_magics.live.table", "LiveTable", show_table)
        if has_live_display(shell):
            displayed.for_type_by_name("hopx_magics.run", "Run", show_line)
            displayed.for_type_by_name("hopx_magics.sweeps", "Sweep", show_sweep)
        else:
            displayed.for_type_by_name("hopx_magics.display.document", "Document", show_document)


def _offer_accessor() -> None:
    """Gives DataFrames their attribute `hopx`, as soon as there is pandas: importing it would make loading slow."""
    if "pandas" in sys.modules:
        from ..display import accessor

        accessor.register()


def unload(shell: InteractiveShell) -> None:
    """Takes back what `load` did, and ends what it left running here. Processes and the agent go on."""
    if HopxMagics.__name__ not in shell.magics_manager.registry:
        return
    for registered in MAGICS:
        magics = shell.magics_manager.registry.pop(registered.__name__)
        for kind, names in magics.magics.items():
            for name in names:
                shell.magics_manager.magics[kind].pop(name, None)
        shell.configurables.remove(magics)
    for transformer in _TRANSFORMERS:
        shell.input_transformers_cleanup.remove(transformer)
    shell.events.unregister("post_execute", _offer_accessor)
    show_frames_no_more(shell)
    matchers = shell.Completer.custom_matchers
    matchers[:] = [matcher for matcher in matchers if getattr(matcher, "matcher_identifier", "") != IDENTIFIER]
    if shell.display_formatter:
        for shown in _SHOWN:
            shell.display_formatter.ipython_display_formatter.pop(shown, None)
    while _mending:
        _mending.pop().close(shell)
    if "hopx_magics.api.watch" in sys.modules:
        from ..api.watch import close_tables

        close_tables()
    if "hopx_magics.session.session" in sys.modules:
        from ..session.session import session

        for connection in session().connections.values():
            connection.watcher.close()
