"""Searching for the best parameters: optuna asks for runs, and is told what these have printed and how they ended."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

import msgspec

from ..connection.connection import Connection
from ..connection.watcher import Listener, Update
from ..errors import AgentUnreachable, HopxError, LaunchInterrupted, ResultError, RunFailed, UnknownColumn
from ..launches import LaunchOptions, checked_calls, checked_launch, checked_sweep_limit, checked_trial, new_sweep_id
from ..models import Launch, ProcessId
from ..output.halving import Course
from ..output.metrics import metrics_in
from ..output.oneline import instead_of, printable
from ..run import Run
from ..session.session import session
from ..sweeps import Sweep
from ..values.calls import Callee
from ..values.state import library_state
from ..words import STREAMS, Stream
from .calls import launch_of
from .find import run_on
from .launch import tell_of_launches

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

LOOK_EVERY = 1.0
"""Seconds between two looks at what running trials have printed, at most."""

PIECE = 4_000_000
"""Bytes of one output that are read at once."""

SILENT_FOR = 60.0
"""Seconds without an answer after which an agent is waited for no longer."""

Space = Mapping[str, Any] | Callable[["optuna.Trial"], Mapping[str, Any] | None]


def optimize(
    code: str | Callable[..., Any],
    study: "optuna.Study",
    n: int,
    space: Space,
    *,
    metric: str | Sequence[str] | None = None,
    limit: int | None = 4,
    on: str | Iterable[str] | None = None,
    **options: Unpack[LaunchOptions],
) -> Sweep:
    """Launches `n` runs whose parameters an optuna `study` chooses, at most `limit` at once, and waits for them.

    `code` is a cell, whose variables the parameters become, or a function, which is called with them by their names.
    `space` says for each parameter which values there are: `(low, high)`, of whole numbers where both are,
    `(low, high, "log")`, a list of choices, or a distribution of optuna; or it is a function of a trial, which calls
    `trial.suggest_float` and its like and returns the parameters.

    The value of a trial is the last one of the `metric` that its run prints, or without a metric the run's result, a
    number; of a study with several directions several metrics, or a result with as many numbers. Each value of a single
    metric is reported as it is printed, and where the study's pruner says so the run is killed and the trial pruned.
    Runs that fail, or have no such value, are told as failed. The study's trials have `run_id` in their user
    attributes, and the runs, which are one sweep, the tag `trial`. Several connections have equally many. Other options
    as for `launch`.

    An interrupt, and every error here, kills what runs and tells these trials as failed: what the study has is whole.

    Raises ValueError for what is no space, UnknownColumn or ResultError as soon as a run has completed and none has a
    value, LaunchInterrupted, a KeyboardInterrupt, and as `launch` does. It takes optuna:
    pip install 'hopx_magics[optuna]'.

    Example::

        study = optuna.create_study(pruner=optuna.pruners.MedianPruner())
        runs = hopx.optimize(CELL, study, 50, {"lr": (1e-5, 1e-1, "log"), "act": ["relu", "tanh"]}, metric="loss")
        study.best_params, runs.frame()
    """
    if n < 1:
        raise ValueError(f"{n} trials can't be: use 1 or more")
    metrics = [metric] if isinstance(metric, str) else None if metric is None else list(metric)
    if metrics is not None and len(metrics) != len(study.directions):
        raise ValueError(f"the study has {len(study.directions)} directions, and there are {len(metrics)} metrics")
    search = _Search(study, _Asked(study, space), metrics, session().chosen(on))
    return search.run(n, checked_sweep_limit(limit) or n, _launcher(code, options))


# ---------------------------------------------------------------- what is launched


Launcher = Callable[[Mapping[str, Any], str, int], Launch]
"""Makes the launch of a trial: of its parameters, the sweep, and its number."""


def _launcher(code: str | Callable[..., Any], options: LaunchOptions) -> Launcher:
    if isinstance(code, str):
        base = checked_launch(code, **options)
        return lambda params, sweep_id, number: _tagged(checked_trial(base, params, sweep_id), number)
    callee = Callee(code, library_state())
    called = launch_of(callee, options)

    def launch(params: Mapping[str, Any], sweep_id: str, number: int) -> Launch:
        (made,) = checked_calls(called, [callee.call((), params)], sweep_id, limit=None)
        return _tagged(made, number)

    return launch


def _tagged(launch: Launch, number: int) -> Launch:
    return msgspec.structs.replace(launch, index=number, tags={**launch.tags, "trial": str(number)})


class _Asked:
    """How a study is asked for trials, and what the parameters of one are. Raises ValueError for what is no space."""

    def __init__(self, study: "optuna.Study", space: Space) -> None:
        self._study = study
        self._suggest = space if callable(space) else None
        self._distributions = None if callable(space) else {name: _distribution(name, space[name]) for name in space}

    def ask(self) -> "optuna.Trial":
        """The next trial."""
        return self._study.ask(self._distributions)

    def params(self, trial: "optuna.Trial") -> dict[str, Any]:
        """What its run is given."""
        chosen = self._suggest(trial) if self._suggest else None
        return dict(trial.params if chosen is None else chosen)


def _distribution(name: str, values: Any) -> "BaseDistribution":
    try:
        from optuna import distributions
    except ImportError:
        raise HopxError("optuna is not installed", hint="pip install 'hopx_magics[optuna]'") from None

    if isinstance(values, distributions.BaseDistribution):
        return values
    if isinstance(values, list) and values:
        return distributions.CategoricalDistribution(values)
    if isinstance(values, tuple) and values[2:] in ((), ("log",)):
        numbers, log = values[:2], len(values) == 3
        if len(numbers) == 2 and all(isinstance(each, int) and not isinstance(each, bool) for each in numbers):
            return distributions.IntDistribution(*numbers, log=log)
        if len(numbers) == 2 and all(isinstance(each, int | float) for each in numbers):
            return distributions.FloatDistribution(*numbers, log=log)
    raise ValueError(
        f"{name}: {printable(repr(values), 60)} does not say which values there are: use (low, high), "
        "(low, high, 'log'), a list of choices, or a distribution of optuna"
    )


# ---------------------------------------------------------------- one trial


class _Trial:
    """A trial that goes on: its run, and as much as was read of what that prints."""

    def __init__(self, trial: "optuna.Trial", run: Run, connection: Connection, metrics: Sequence[str]) -> None:
        self.trial = trial
        self.run = run
        self.connection = connection
        self._metrics = metrics
        self._read_of: ProcessId | None = None
        self._reported = 0
        self.courses: list[Course] = []

    def read(self) -> None:
        """Reads what is new of its output."""
        process_id = self.run.process_id
        if process_id is None:
            return
        if self._read_of != process_id:  # or it was launched anew
            self._read_of = process_id
            self.courses = [Course(metric) for metric in self._metrics]
            self._positions = dict.fromkeys(STREAMS, 0)
            self._rests: dict[Stream, str] = dict.fromkeys(STREAMS, "")
        for stream in STREAMS if self.courses else ():
            for text in self._pieces(process_id, stream):
                for course in self.courses:
                    course.take({stream: text})

    def _pieces(self, process_id: ProcessId, stream: Stream) -> Iterator[str]:
        """The lines that are new and whole, and at the end all that is left."""
        while True:
            part = self.connection.outputs.part(process_id, stream, (start := self._positions[stream]), start + PIECE)
            self._positions[stream] = max(start, part.end)
            text = self._rests[stream] + part.data.decode("utf-8", "replace")
            end = max(text.rfind("\n"), text.rfind("\r")) + 1
            if self.run.process.ended and self._positions[stream] >= part.size:
                end = len(text)
            self._rests[stream] = text[end:]
            if end:
                yield text[:end]
            if self._positions[stream] >= part.size or not part.data:
                return

    def report(self) -> bool:
        """Tells the study the values that are new; whether it is to be pruned."""
        values = self.courses[0].values if len(self.courses) == 1 else []
        for step, value in enumerate(values[self._reported :], self._reported):
            self._reported += 1
            self.trial.report(value, step)
            if not self.run.process.ended and self.trial.should_prune():
                return True
        return False

    def values(self) -> list[float] | None:
        """What the study is to know of it; None where it has no such numbers."""
        if self._metrics:
            found = [course.values[-1] for course in self.courses if course.values]
            return found if len(found) == len(self._metrics) else None
        try:
            result = self.run.result()
        except (ResultError, RunFailed):
            return None
        numbers = [_number(each) for each in (result if isinstance(result, list | tuple) else [result])]
        return [number for number in numbers if number is not None] if None not in numbers else None


def _number(value: Any) -> float | None:
    try:
        return None if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError):
        return None


# ---------------------------------------------------------------- all trials


class _Search:
    """The trials of one call, which are launched, followed, and told to the study by the thread that calls `run`."""

    def __init__(
        self,
        study: "optuna.Study",
        asked: _Asked,
        metrics: Sequence[str] | None,
        connections: Sequence[Connection],
    ) -> None:
        self._study = study
        self._asked = asked
        self._metrics = metrics or ()
        self._connections = connections
        self._sweep_id = new_sweep_id()
        self._runs: list[Run] = []
        self._going: list[_Trial] = []
        self._has_value = False
        self._latest: dict[Connection, Update] = {}
        self._news = threading.Event()

    def run(self, n: int, limit: int, launcher: Launcher) -> Sweep:
        """Has `n` trials, at most `limit` at once."""
        stops = [connection.watcher.listen(self._listener(connection)) for connection in self._connections]
        try:
            while len(self._runs) < n or self._going:
                while len(self._runs) < n and len(self._going) < limit:
                    self._launch(launcher)
                self._news.wait(LOOK_EVERY)
                self._news.clear()
                self._check_silence()
                for each in list(self._going):
                    self._look(each)
        except KeyboardInterrupt:
            going = self._give_up()
            raise LaunchInterrupted(
                f"Stopped the search {self._sweep_id}: {len(self._runs) - going:,} of {n:,} trials had ended, and "
                f"{going:,} are told as failed.\nTheir runs were killed.",
                Sweep(self._runs, self._sweep_id),
            ) from None
        except BaseException:
            self._give_up()
            raise
        finally:
            for stop in stops:
                stop()
        tell_of_launches()
        return Sweep(self._runs, self._sweep_id)

    def _launch(self, launcher: Launcher) -> None:
        trial = self._asked.ask()
        try:
            connection = min(self._connections, key=self._load)
            process = connection.launch(launcher(self._asked.params(trial), self._sweep_id, trial.number))
        except BaseException:
            self._tell_failed(trial)
            raise
        run = run_on(connection, process)
        trial.set_user_attr("run_id", run.run_id)
        self._runs.append(run)
        self._going.append(_Trial(trial, run, connection, self._metrics))

    def _load(self, connection: Connection) -> int:
        return sum(each.connection is connection for each in self._going)

    def _listener(self, connection: Connection) -> Listener:
        def take(update: Update) -> None:
            self._latest[connection] = update
            self._news.set()

        return take

    def _check_silence(self) -> None:
        """Raises the error of an agent that has not answered for long."""
        for update in list(self._latest.values()):
            if update.error and update.failing_since and time.monotonic() - update.failing_since > SILENT_FOR:
                raise update.error

    def _look(self, each: _Trial) -> None:
        """Reads on, and tells the study what that means."""
        update = self._latest.get(each.connection)
        if update and update.listing and not update.error and not each.run.process.ended:
            each.run.see(update.listing.last_try(each.run.process_id))
        process = each.run.process
        try:
            each.read()
        except AgentUnreachable:
            return  # until it is known for how long
        if each.report() and each.run.kill() == "killed":
            self._tell(each, pruned=True)
        elif process.ended or process.status == "unknown":
            self._tell(each)

    def _tell(self, each: _Trial, *, pruned: bool = False) -> None:
        """Tells the study how a trial has ended, for good."""
        from optuna.trial import TrialState

        completed = each.run.process.status == "completed"
        values = each.values() if completed and not pruned else None
        self._going.remove(each)
        if pruned:
            self._study.tell(each.trial, state=TrialState.PRUNED)
        elif values is None or any(value != value for value in values):
            self._tell_failed(each.trial)
        else:
            self._has_value = True
            self._study.tell(each.trial, values)
        if completed and not pruned and values is None and not self._has_value:
            raise self._no_value(each.run)

    def _tell_failed(self, trial: "optuna.Trial") -> None:
        from optuna.trial import TrialState

        self._study.tell(trial, state=TrialState.FAIL)

    def _no_value(self, run: Run) -> HopxError | UnknownColumn:
        """The error when a run has completed that has no value, and neither has any before it."""
        directions = len(self._study.directions)
        if not self._metrics:
            numbers = "a number" if directions == 1 else f"{directions} numbers"
            return ResultError(
                f"the result of {printable(str(run.name or run.run_id), 60)} is not {numbers}",
                hint="Let the last expression be that, or the function return it; or name a metric that is printed.",
            )
        texts = (run.end_of(stream, PIECE).text for stream in STREAMS)
        printed = {metric.name for text in texts for metric in metrics_in(text)}
        missing = next((metric for metric in self._metrics if metric not in printed), self._metrics[0])
        return UnknownColumn(
            f"no run has printed a metric {printable(missing, 60)!r}",
            hint=instead_of(missing, sorted(printed)) if printed else "What is printed as `loss: 0.3` is one.",
        )

    def _give_up(self) -> int:
        """Tells the study that what goes on has failed, and kills it; how many these are."""
        going, self._going = self._going, []
        for each in going:
            self._tell_failed(each.trial)
        with contextlib.suppress(HopxError):  # it goes on where nobody can reach it
            Sweep([each.run for each in going], self._sweep_id).kill()
        return len(going)
