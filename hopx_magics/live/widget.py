"""The widget of the live table: tells its pages what they have to know, and hands on what they ask for."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import anywidget
import msgspec

from .bundle import script, styles
from .intents import Intent, read_intent
from .messages import Beat, Done, Message, Pong

_log = logging.getLogger(__name__)


class TableWidget(anywidget.AnyWidget):
    """A widget without traits of its own, so that nothing of the table is saved with the notebook.

    Rows, output and answers travel as custom messages, sent from any thread under one lock, in order, and numbered: a
    notebook server drops messages while a cell prints more than its limits, and a page that misses one asks anew.

    `carry_out` is given what pages ask for, on the thread that got the message: it must not take long.
    """

    _esm = script()
    _css = styles()

    def __init__(self, carry_out: Callable[[Intent], None]) -> None:
        super().__init__()
        self._hand_on = carry_out
        self._sending = threading.RLock()
        self._told_at = time.monotonic()
        self._told = 0
        self.confirmed = True
        """Whether the pages were last told nothing but that the kernel lives, so that nothing can be missing."""
        self.on_msg(lambda _, content, buffers: self._receive(content))
        let_clicks_through(self.comm)

    @property
    def silence(self) -> float:
        """Seconds since the pages were last told anything."""
        return time.monotonic() - self._told_at

    def tell(self, message: Message, buffers: Sequence[bytes] = ()) -> None:
        """Sends a message to all pages. After the widget was closed it does nothing."""
        with self._sending:
            if self.comm is None:
                return
            self._told_at = time.monotonic()
            self._told += 1
            self.confirmed = isinstance(message, Beat | Pong)
            content = {**msgspec.to_builtins(message), "number": self._told, "now": time.time()}
            self.send(content, list(buffers) or None)

    def view_bundle(self) -> dict[str, Any]:
        """What makes a front end show the widget, as a part of a mimebundle."""
        view = {"version_major": 2, "version_minor": 1, "model_id": self.model_id}
        return {"application/vnd.jupyter.widget-view+json": view}

    def _receive(self, content: object) -> None:
        try:
            intent = read_intent(content)
        except ValueError as error:
            _log.warning("a page asked for what is no intent: %s", error)
            request = content.get("request") if isinstance(content, dict) else None
            if isinstance(request, int):
                self.tell(Done(request=request, error=f"not understood: {error}"))
            return
        self._hand_on(intent)


def let_clicks_through(comm: object) -> None:
    """Lets ipykernel 7.4 handle the messages of pages while a cell runs, as the versions before it do.

    JupyterLab sends them to a subshell for that purpose. ipykernel 7.4 redirects them to the shell that made the
    widget, which is the busy one. The attribute that decides this is private: where it is missing, nothing is done.
    """
    if callable(getattr(comm, "_reply_subshell_for", None)):
        comm._reply_subshell_for = None  # type: ignore[attr-defined]
