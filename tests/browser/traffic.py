"""What a page costs: messages between kernel and page, time of the page's main thread, time of the kernel."""

import json
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal

import psutil
from playwright.sync_api import Page, WebSocket

Direction = Literal["to_page", "to_kernel"]

# Tasks of the main thread over 50 ms, since the page was opened.
COLLECT_LONG_TASKS = """
window.hopxTestLongTasks = [];
new PerformanceObserver(list => window.hopxTestLongTasks.push(...list.getEntries().map(
  entry => ({start: entry.startTime, ms: entry.duration})))).observe({type: "longtask", buffered: true});
"""


@dataclass(frozen=True)
class Message:
    """One message between page and kernel, as the websocket carried it (before compression)."""

    direction: Direction
    channel: str
    kind: str
    size: int
    content: dict[str, Any]

    @property
    def comm_id(self) -> str | None:
        return self.content.get("comm_id")

    @property
    def data(self) -> Any:
        """What a widget's custom message says, for one that is; else None."""
        data = self.content.get("data", {})
        return data.get("content") if data.get("method") == "custom" else None


def read_message(frame: bytes, direction: Direction) -> Message:
    """A frame of `v1.kernel.websocket.jupyter.org`: a count, offsets, then the parts; buffers come last."""
    count = int.from_bytes(frame[:8], "little")
    offsets = [int.from_bytes(frame[8 * i : 8 * i + 8], "little") for i in range(1, count + 1)]
    channel, header, _parent, _metadata, content = (frame[offsets[i] : offsets[i + 1]] for i in range(5))
    return Message(direction, channel.decode(), json.loads(header)["msg_type"], len(frame), json.loads(content))


class Traffic:
    """Keeps all messages between a page and its kernels."""

    def __init__(self, page: Page) -> None:
        self.messages: list[Message] = []
        page.on("websocket", self._listen)

    def _listen(self, socket: WebSocket) -> None:
        if "/api/kernels/" in socket.url:
            socket.on("framereceived", lambda frame: self._keep(frame, "to_page"))
            socket.on("framesent", lambda frame: self._keep(frame, "to_kernel"))

    def _keep(self, frame: str | bytes, direction: Direction) -> None:
        if isinstance(frame, bytes):
            self.messages.append(read_message(frame, direction))


@dataclass
class Cost:
    """What happened between two moments. The kernel's time is counted in steps of 10 ms."""

    messages: list[Message] = field(default_factory=list)
    seconds: float = 0
    task_ms: float = 0
    script_ms: float = 0
    layout_ms: float = 0
    long_tasks: list[float] = field(default_factory=list)
    kernel_ms: float = 0

    def comm(self, direction: Direction = "to_page") -> list[Message]:
        """The messages of widgets."""
        return [message for message in self.messages if message.direction == direction and "comm_" in message.kind]

    @property
    def received(self) -> int:
        """Bytes that widgets got."""
        return total(self.comm())

    @property
    def sent(self) -> int:
        """Bytes that widgets sent."""
        return total(self.comm("to_kernel"))


def total(messages: Iterable[Message]) -> int:
    return sum(message.size for message in messages)


class Meter(AbstractContextManager[Cost]):
    """Measures what happens inside of `with`."""

    def __init__(self, page: Page, traffic: Traffic, kernel: psutil.Process | None) -> None:
        self._page = page
        self._traffic = traffic
        self._kernel = kernel
        self._devtools = page.context.new_cdp_session(page)
        self._devtools.send("Performance.enable")
        self.cost = Cost()

    def __enter__(self) -> Cost:
        self._flush()
        self._seen = len(self._traffic.messages)
        self._tasks = self._long_tasks()
        self._metrics = self._read_metrics()
        self._kernel_seconds = self._read_kernel()
        self._started = time.perf_counter()
        return self.cost

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            return
        self.cost.seconds = time.perf_counter() - self._started
        self.cost.kernel_ms = 1000 * (self._read_kernel() - self._kernel_seconds)
        metrics = self._read_metrics()
        self._flush()
        self.cost.messages = self._traffic.messages[self._seen :]
        self.cost.long_tasks = self._long_tasks()[len(self._tasks) :]
        spent = {name: 1000 * (value - self._metrics[name]) for name, value in metrics.items()}
        self.cost.task_ms = spent["TaskDuration"]
        self.cost.script_ms = spent["ScriptDuration"]
        self.cost.layout_ms = spent["LayoutDuration"] + spent["RecalcStyleDuration"]
        self._devtools.detach()

    def _flush(self) -> None:
        # Events reach Python only while it waits for the browser.
        self._page.wait_for_timeout(100)

    def _long_tasks(self) -> list[float]:
        return [task["ms"] for task in self._page.evaluate("() => window.hopxTestLongTasks ?? []")]

    def _read_metrics(self) -> dict[str, float]:
        metrics = self._devtools.send("Performance.getMetrics")["metrics"]
        return {metric["name"]: metric["value"] for metric in metrics if metric["name"].endswith("Duration")}

    def _read_kernel(self) -> float:
        if self._kernel is None:
            return 0
        times = self._kernel.cpu_times()
        return times.user + times.system
