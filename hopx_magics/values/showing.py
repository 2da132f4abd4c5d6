"""How a notebook shows values, where that is other than IPython does by itself: formats of figures, printers, settings.

IPython is not imported here: the shell of the notebook tells.
"""

import pickle
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from .packed import Printer, Showing
from .state import pickled

_CONFIGURED = ("PlainTextFormatter", "InlineBackend")
"""Classes of IPython whose settings say how values are shown."""

_PLAIN_FIGURES = {"fmt": "png", "base64": True, "bbox_inches": "tight"}


def showing_of(shell: Any) -> Showing | None:
    """What is set in this shell of IPython; None where nothing is."""
    printers = tuple(_printers(shell.display_formatter))
    if _are_plain_figures(printers, shell.display_formatter):
        printers = ()
    found = Showing(shell.ast_node_interactivity, dict(_settings(shell)), printers)
    return None if found == Showing() else found


def _settings(shell: Any) -> Iterator[tuple[str, Any]]:
    for one in (*shell.configurables, *shell.display_formatter.formatters.values()):
        if type(one).__name__ in _CONFIGURED and (changed := dict(_changed(one))):
            yield type(one).__name__, changed


def _changed(configurable: Any) -> Iterator[tuple[str, Any]]:
    defaults = configurable.trait_defaults()
    for name in configurable.trait_names(config=True):
        value = getattr(configurable, name)
        with suppress(Exception):  # what can't travel stays as IPython has it
            if value != defaults[name] and name not in _OF_OTHERS and pickle.dumps(value):
                yield name, value


_OF_OTHERS = ("type_printers", "deferred_printers", "singleton_printers")
"""Traits that `_printers` tells."""


def _printers(display_formatter: Any) -> Iterator[Printer]:
    for mimetype, formatter in display_formatter.formatters.items():
        for kind, printer in formatter.type_printers.items():
            own = getattr(printer, "__module__", None) in ("IPython.lib.pretty", "IPython.core.formatters")
            if not own and kind.__module__ != "__main__" and (content := pickled((kind, printer))) is not None:
                yield Printer(kind.__module__, kind.__qualname__, mimetype, content)


def _are_plain_figures(printers: tuple[Printer, ...], display_formatter: Any) -> bool:
    """Whether the only ones make PNG of figures, as the inline backend does by itself."""
    if [(printer.mimetype, printer.name) for printer in printers] != [("image/png", "Figure")]:
        return False
    function = display_formatter.formatters["image/png"].type_printers[sys.modules["matplotlib.figure"].Figure]
    return bool(function.keywords == _PLAIN_FIGURES and function.func.__name__ == "print_figure")
