"""An executor of `concurrent.futures` whose calls are runs: they go on, and are kept, without this program."""

import concurrent.futures
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Unpack

import msgspec

from ..connection.connection import Connection
from ..connection.waiting import Waiting
from ..connection.watcher import Update
from ..errors import HopxError, LaunchError, RunFailed
from ..launches import LaunchOptions, checked_calls, checked_sweep_limit, new_sweep_id
from ..models import Launch, ProcessId
from ..run import Run
from ..session.session import session
from ..values.calls import Callee
from ..values.state import library_state
from .calls import calls_of, launch_of, made_ready
from .find import run_on
from .launch import tell_of_launches


class RunFuture(concurrent.futures.Future[Any]):
    """The future of a call. Its `run` is a run like any other, and is there when this program has ended.

    An error is that of the function, where it could be kept, and its cause the `RunFailed` with the call's traceback.
    """

    def __init__(self, run: Run, connection: Connection) -> None:
        super().__init__()
        self.run = run
        self.process_id = ProcessId(str(run.process_id))
        self.turn = threading.RLock()
        """Held while its state changes."""
        self._connection = connection
        self._waiting = Waiting(connection, [self.process_id])

    def cancel(self) -> bool:
        """Takes the call back if it still waits for its turn, and tells whether it did."""
        with contextlib.suppress(HopxError):
            withdraw(self._connection, [self])
        return self.cancelled()

    def be_cancelled(self) -> None:
        """Takes note that its run was taken back."""
        super().cancel()
        self.set_running_or_notify_cancel()

    def take(self, update: Update) -> None:
        """Takes note of what the agent says."""
        with self.turn:
            if self.done():
                return
            try:
                if not self._has_ended(update):
                    return
                error: BaseException | None = self.run.exception()
                value = None if error else self.run.result()
            except Exception as problem:  # whatever it is, who waits is to have it
                error, value = problem, None
            if not self.running():
                self.set_running_or_notify_cancel()
        if error is None:
            self.set_result(value)
        else:
            self.set_exception(_as_raised(error))

    def _has_ended(self, update: Update) -> bool:
        self._waiting.take(update)
        for process in self._waiting.processes:
            self.run.see(process)
            if process.status == "running" and not self.running():
                self.set_running_or_notify_cancel()
            return process.ended
        return False


def _as_raised(error: BaseException) -> BaseException:
    """The error of the function, if it is known, with what is told of the run as its cause."""
    raised = error.__cause__ if isinstance(error, RunFailed) else None
    if raised is None:
        return error
    error.__cause__, raised.__cause__ = None, error
    return raised


def withdraw(connection: Connection, futures: Iterable[RunFuture]) -> None:
    """Takes back the calls that still wait for their turn. Raises AgentError."""
    with contextlib.ExitStack() as turns:
        listing = connection.listing(tail=0)
        going = {future.process_id: future for future in futures if not future.done()}
        queued = [future for id_, future in going.items() if (found := listing.find(id_)) and found.status == "queued"]
        for future in queued:
            turns.enter_context(future.turn)
        if queued:
            connection.kill([future.process_id for future in queued])
        for future in queued:
            if not future.done():
                future.be_cancelled()


class Executor(concurrent.futures.Executor):
    """Calls functions as background processes: an executor as those of `concurrent.futures`.

    At most `limit` of its calls run at once, None for as many as the agent lets. The others wait in the agent's queue,
    so that all of them go on, and their results are kept, when this program has ended: each future has its `run`, which
    `hopx_magics.attach` finds again. The calls of one executor are one sweep. Options as for `launch`; without a `name`
    each call has that of its function.
    """

    def __init__(self, limit: int | None = 4, *, on: str | None = None, **options: Unpack[LaunchOptions]) -> None:
        self._limit = checked_sweep_limit(limit)
        self._connection = session().connection(on)
        self._options = options
        self._sweep_id = new_sweep_id()
        self._count = 0
        self._is_shut = False
        self._lock = threading.Lock()
        self._follower = _Follower(self._connection)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> RunFuture:
        """Launches a call, and returns its future at once.

        Raises ValueRefused for what can't travel, RuntimeError after `shutdown`, and else as `launch` does.
        """
        callee = Callee(fn, library_state())
        (launch,) = self._launches(callee, [callee.call(args, kwargs)])
        future = self._launch(launch)
        tell_of_launches()
        return future

    def map(
        self, fn: Callable[..., Any], *iterables: Iterable[Any], timeout: float | None = None, chunksize: int = 1
    ) -> Iterator[Any]:
        """Launches a call for each item, and returns an iterator over what they return, in the order of the items.

        Nothing is launched if one of the items can't travel. What still waits is taken back when the iterator ends
        before all are through. `chunksize` has no meaning here. Raises as `submit` does, TimeoutError from the iterator
        when `timeout` seconds after this call a result is not there yet.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        callee = Callee(fn, library_state())
        launches = self._launches(callee, calls_of(callee, zip(*iterables, strict=False)))
        futures = [self._launch(launch) for launch in made_ready(self._connection, launches)]
        tell_of_launches()
        return self._results(futures, deadline)

    def _results(self, futures: Sequence[RunFuture], deadline: float | None) -> Iterator[Any]:
        try:
            for future in futures:
                yield future.result(None if deadline is None else deadline - time.monotonic())
        finally:
            if not all(future.done() for future in futures):
                withdraw(self._connection, futures)

    def _launches(self, callee: Callee, calls: Iterable[Any]) -> Iterator[Launch]:
        return checked_calls(launch_of(callee, self._options), calls, self._sweep_id, limit=self._limit)

    def _launch(self, launch: Launch) -> RunFuture:
        with self._lock:  # the calls are in the order of their places
            if self._is_shut:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if self._limit is not None and not self._connection.agent.keeps_limits():
                raise LaunchError(
                    f"{self._connection.name} can't hold calls back until it is their turn",
                    hint="Executor(limit=None) launches them at once; hopx.map hands them out one by one.",
                )
            process = self._connection.launch(msgspec.structs.replace(launch, index=self._count))
            self._count += 1
        future = RunFuture(run_on(self._connection, process), self._connection)
        self._follower.add(future)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more calls; with `cancel_futures` those that wait are taken back. Waits until all have ended."""
        with self._lock:
            self._is_shut = True
        futures = self._follower.going()
        if cancel_futures:
            withdraw(self._connection, futures)
        if wait:
            concurrent.futures.wait(futures)


class _Follower:
    """Tells futures what the agent says of them, on a thread that is there as long as one of them goes on."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._futures: list[RunFuture] = []
        self._updates: queue.SimpleQueue[Update] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, future: RunFuture) -> None:
        """From now on the future is told."""
        with self._lock:
            self._futures.append(future)
            if self._thread is None:
                self._updates = queue.SimpleQueue()
                self._thread = threading.Thread(target=self._follow, name="hopx-futures", daemon=True)
                self._thread.start()
            self._updates.put(self._connection.watcher.latest)  # it may have ended meanwhile, and nothing new comes

    def going(self) -> list[RunFuture]:
        """The futures that have no result yet."""
        with self._lock:
            return [future for future in self._futures if not future.done()]

    def _follow(self) -> None:
        stop = self._connection.watcher.listen(self._updates.put)
        try:
            while going := self._still_going():
                update = self._updates.get()
                for future in going:
                    future.take(update)
        finally:
            stop()

    def _still_going(self) -> list[RunFuture]:
        """Those that are still to be told; the thread ends when there are none."""
        with self._lock:
            self._futures = [future for future in self._futures if not future.done()]
            if not self._futures:
                self._thread = None
            return list(self._futures)
