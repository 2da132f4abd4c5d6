"""Whom callbacks are for, and launches with a callback."""

import ssl
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.standins.server import Asked, Server
from tests.waiting import DEADLINE, wait_until

if TYPE_CHECKING:
    from .conftest import Agent

SECRET = "sig-SECRET-1"
SOON = {"HOPX_CALLBACK_RETRY_SECONDS": "0.05"}


class Receiver(Server):
    """Whom callbacks are for; listens from `open` on.

    It answers with the next of `statuses`, and then with 200, but not before `answers` is set.
    """

    def __init__(self, statuses: tuple[int, ...] = (), tls: ssl.SSLContext | None = None) -> None:
        super().__init__(self._reply, tls=tls, is_open=False)
        self.answers = threading.Event()
        self.answers.set()
        self.at_once = self.most_at_once = 0
        self._statuses = list(statuses)
        self._lock = threading.Lock()

    def _reply(self, asked: Asked) -> None:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            status = self._statuses.pop(0) if self._statuses else 200
        self.answers.wait(DEADLINE)
        with self._lock:
            self.at_once -= 1
        asked.reply(status=status, Location=f"{self.url}/elsewhere", Connection="close")

    def close(self) -> None:
        self.answers.set()
        super().close()

    def called(self, times: int = 1) -> list[Asked]:
        """The callbacks, as soon as there are so many."""
        wait_until(lambda: len(self.asked) >= times, f"{times} callbacks have arrived")
        return self.asked


StartReceiver = Callable[..., Receiver]


def launch(agent: "Agent", url: str, code: str = "echo out; echo err >&2", **fields: Any) -> str:
    """Launches with a callback and returns the process's id."""
    reply = agent.post("/execute/async", **{"code": code, "language": "bash", "callback_url": url, **fields})
    assert reply.status_code == 200, reply.text
    process_id: str = reply.json()["process_id"]
    return process_id


def pending(agent: "Agent") -> list[str]:
    """The processes whose end is still to be told."""
    return sorted(path.stem for path in (agent.folder / "callbacks").iterdir())


def was_told(agent: "Agent", *process_ids: str) -> None:
    """Returns when nothing is to be told of these processes any more."""
    wait_until(lambda: not set(process_ids) & set(pending(agent)), "it is not pending")


def failed_once(agent: "Agent", process_id: str) -> None:
    """Returns when one try was in vain."""
    wait_until(lambda: f"callback of {process_id} did not arrive" in agent.log.read_text(), "it did not arrive")
