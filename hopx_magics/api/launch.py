"""Launching: one run, a sweep, one on each of several connections, or an earlier run once more."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Unpack

import msgspec

from ..connection.connection import Connection
from ..connection.sending import Sending
from ..display.run_name import given_in_order
from ..errors import AgentWarning, HopxError, LaunchError, LaunchInterrupted, UnknownConnection, tell
from ..launches import LaunchOptions, SweepLaunches, checked_copies, checked_launch, checked_sweep, counted
from ..models import Launch, Process, RunId
from ..output.oneline import printable
from ..run import Run
from ..session.dispatcher import Dispatcher, not_launched_yet
from ..session.gathering import ASKED_AT_ONCE
from ..session.session import session
from ..sources import HANDED_WITHIN, AgentSource, WaitingSource
from ..sweeps import Sweep
from ..values.calls import Callee, call_as_it_is
from ..values.facts import names_in_words
from ..values.packed import Packed
from ..values.packing import Notebook, pack_named
from .find import former_on, kept_run, run_on
from .notes import tell_notes

Progress = Callable[[int, int], None]
"""Called with how many have been launched, and of how many."""


def launch(
    code: str | Callable[..., Any],
    *,
    on: str | None = None,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    sending: Sending | None = None,
    **options: Unpack[LaunchOptions],
) -> Run:
    """Launches `code` as a background process and returns its `Run` at once.

    A function is called with `args` and `kwargs`, as `threading.Thread` takes them; `run.result()` is what it returns,
    and plain arguments are parameters of the run.
    `timeout` is in seconds or a text like `2h`; None means no limit. On the local agent the process works in `workdir`,
    by default the present folder, with the Python, the environment, and the umask of this program. It has those of the
    caller's variables that are in `values`, whatever can be pickled, and `keep` names the ones of its own that are kept
    for `run[name]`. `params` (numbers, texts, or what JSON can hold) become variables of it; they and `tags` are
    columns of the history. The agent tells the end to a `callback`. `capture` says who keeps the output where the agent
    does not return it: `files` of the sandbox, the `agent`, or `auto`, whichever works. With `kill_leftovers` its end
    is that of all that it started. `sending` is called with what is sent to another machine, how many bytes of it were,
    and how many there are.

    With `first` it is ahead of all that is queued. It starts when the runs `after` have all completed, or ends as
    failed when one of them has not, and when all of `after_any` have ended. It starts when so many `gpus` (whole ones,
    or a part of one), `cpus`, and so much `memory` (bytes, or a text like `4GB`) are left by those that asked for some;
    it gets its GPUs in CUDA_VISIBLE_DEVICES, and is ended when it takes more memory. As soon as a metric that it prints
    meets a bound of `stop_when`, such as `loss>10` (which `nan` does, too), it is ended as killed. When it fails it is
    launched anew, up to `retry` times, each `retry_delay` later, as a run of its own, whose `rerun_of` is the one
    before; the `Run` is the last one of these. Where the agent can't do that this program does, which is a warning, and
    also when the agent has not answered for a minute or its sandbox is gone, as soon as there is an agent. All else
    and `kill_leftovers` are for this machine alone.

    With `notify` its agent tells somebody when it has ended (True), also when this program is gone; or of what one or
    several words say, which are `end`, `failure`, a bound such as `loss>10`, and where: `desktop`, or a URL of apprise.
    Without a place that is what the environment has in HOPX_NOTIFY, or the desktop. A sweep has one notice.

    With `fork`, on this machine and on Linux, it is a fork of this program: it has all that is in its memory, which is
    not copied, and what it changes is its own. OpenMP has so many `threads` in it, by default as many as here.

    Raises ValueError for an argument that can't be used, CodeError for Python that doesn't compile, LaunchError,
    AgentError.
    """
    connection = session().connection(on)
    beside: dict[str, Any] = {}
    if not isinstance(code, str) and options.get("fork"):
        code, beside = call_as_it_is(code, args, kwargs or {})
    elif not isinstance(code, str):
        code, options["values"], params = Callee(code).call(args, kwargs or {})
        options["params"] = {**params, **(options.get("params") or {})}
    elif args or kwargs:
        raise ValueError("args and kwargs are for a function: code gets variables by values")
    checked = checked_launch(code, **_with_former(options, connection))
    if checked.fork:
        checked = msgspec.structs.replace(checked, beside=beside)
    if _tries_here(checked, [connection]):
        return _launched_with_tries(checked, connection, sending)
    launched = connection.at_home(checked, sending)
    process = connection.launch(launched)
    tell_of_launches()
    run = run_on(connection, process)
    run.given = launched.packed.in_words() if launched.packed else ""
    run.told = given_in_order(launched.params)
    return run


def _tries_here(launch: Launch, connections: Sequence[Connection]) -> bool:
    """Whether it is this program that launches anew what fails, since no agent does."""
    return launch.retries > 0 and (len(connections) > 1 or "queue" not in connections[0].agent.features())


def _launched_with_tries(launch: Launch, connection: Connection, sending: Sending | None) -> Run:
    connection.at_home(launch.once(), sending)
    (run,) = _dispatched([launch], [connection], "", None, None)
    if isinstance(run.source, WaitingSource):
        run.source.dispatcher.wait_out(launch.run_id, HANDED_WITHIN)
    _tell_of_tries([connection])
    tell_of_launches()
    return run


def _tell_of_tries(connections: Sequence[Connection]) -> None:
    places = ", ".join(connection.name for connection in connections)
    tell(f"this Python process launches anew what fails on {places}: when it ends, nobody does", AgentWarning)


def _with_former(options: LaunchOptions, connection: Connection, *others: Connection) -> LaunchOptions:
    """The options, with the processes of the connection that the launch comes after. Raises ValueError."""
    after, after_any = options.get("after"), options.get("after_any")
    if not after and not after_any:
        return options
    if others:
        raise ValueError("what comes after other runs is launched on one connection: its agent waits for their ends")
    completed, ended = former_on(connection, after or (), must_complete=True), former_on(connection, after_any or ())
    options["after"], options["after_any"] = completed.pending, ended.pending
    options["former"] = {**ended.named, **completed.named}
    return options


def sweep(
    code: str,
    sweeps: Mapping[str, Sequence[Any]],
    *,
    limit: int | None = None,
    per: int | None = None,
    keep_best: str | None = None,
    on: str | Iterable[str] | None = None,
    progress: Progress = lambda launched, total: None,
    sending: Sending | None = None,
    **options: Unpack[LaunchOptions],
) -> Sweep:
    """Launches `code` once with every combination of the values of `sweeps`, and returns the list of its runs.

    At most `limit` of them run at once. On several connections they are spread: at most `per` run on each, the next one
    is handed out when one has ended, and none to an agent that does not answer. The handing out is done by this Python
    process; a single agent that can keep the limit by itself gets all at once. A Ray cluster has no more than there is
    room for, also when nodes come and go. `progress` is called with how many have been launched, and of how many. The
    other options are those of `launch`.

    With `keep_best`, such as "3 loss", "3 min loss" or "3 max accuracy", those runs go on at half time that have the 3
    best values of that metric by then, and the others are ended as killed, which is no failure; without min or max the
    name of the metric tells which is best. A run is at half time when it prints that half of its work is done, and one
    that prints no progress when it has printed the metric half as often as a run of the sweep that has completed. It is
    compared with those that were there before; what is no number is the worst, and of equal ones the one launched first
    goes on. One that has not printed the metric is not ended, nor is any where there are no more runs than that.
    On this machine, by its agent: it goes on without this program.

    Raises as `launch` does, and LaunchInterrupted after Ctrl-C: what was launched goes on, the others were never sent.
    """
    connections = session().chosen(on)
    least = min((number for number in (limit, per) if number is not None), default=None)
    launch = checked_launch(code, **_with_former(options, *connections))
    planned = checked_sweep(launch, sweeps, limit=least, keep_best=keep_best)
    if keep_best is not None and len(connections) > 1:
        raise ValueError("keep_best is for a sweep on one connection: its agent compares the runs")
    _send_ahead(launch.once() if _tries_here(launch, connections) else launch, connections, sending)
    return launch_planned(planned, connections, limit=limit, per=per, progress=progress)


def _send_ahead(launch: Launch, connections: Sequence[Connection], sending: Sending | None) -> None:
    """Sends what all of a sweep needs, in the thread that can tell how far it is, and before the values change.

    Raises what the first connection says when none of them can have it; one that does not answer may do so later.
    """
    errors: list[HopxError] = []
    for connection in connections:
        try:
            connection.at_home(launch, sending)
        except HopxError as error:
            errors.append(error)
    if len(errors) == len(connections) and any(isinstance(error, LaunchError) for error in errors):
        raise next(error for error in errors if isinstance(error, LaunchError))


def launch_planned(
    planned: SweepLaunches,
    connections: Sequence[Connection],
    *,
    limit: int | None,
    per: int | None = None,
    progress: Progress = lambda launched, total: None,
) -> Sweep:
    """Launches all of a sweep: at once on a single agent that keeps its limit, otherwise handed out as runs end."""
    (first, *others) = connections
    if planned.fork:
        first.check_forks(planned.total)
    planned, room = (planned, None) if others or not planned.total else _with_room(planned, first)
    least = min((number for number in (limit, per, room) if number is not None), default=None)
    unlimited = least is None or least >= planned.total
    tries_here = planned.retries > 0 and (others or "queue" not in first.agent.features())
    if tries_here:
        _tell_of_tries(connections)
    if not others and not tries_here and (unlimited or first.agent.keeps_limits()):
        runs = _launched(planned, first, progress)
    else:
        runs = _dispatched(list(planned.launches), connections, planned.sweep_id, per, limit)
    tell_of_launches()
    return runs


def _with_room(planned: SweepLaunches, connection: Connection) -> tuple[SweepLaunches, int | None]:
    """The sweep, and how many of it may be on a connection at once where that has room for so many only."""
    one = next(planned.launches)
    return planned._replace(launches=itertools.chain([one], planned.launches)), connection.room_for(one)


def _launched(planned: SweepLaunches, connection: Connection, progress: Progress) -> Sweep:
    runs: list[Run] = []
    taken = itertools.count()
    launches = (launch for launch, _ in zip(counted(planned), taken, strict=False))
    try:
        for processes in connection.launch_all(launches):
            runs += (run_on(connection, process) for process in processes)
            progress(len(runs), planned.total)
    except KeyboardInterrupt:
        launched = f"{len(runs):,} of {planned.total:,} were launched and go on"
        unsure = next(taken) - len(runs)
        others = f"{unsure:,} may have been, the others were never sent" if unsure else "the others were never sent"
        raise LaunchInterrupted(
            f"Stopped launching the sweep {planned.sweep_id}: {launched}, {others}.\n"
            "%hopx_ps shows them, %hopx_kill ends them.",
            Sweep(runs, planned.sweep_id),
        ) from None
    return Sweep(runs, planned.sweep_id, planned.keeps_by)


def _dispatched(
    launches: list[Launch], connections: Sequence[Connection], sweep_id: str, per: int | None, limit: int | None
) -> Sweep:
    def tell(run_id: RunId, process: Process, connection: Connection | None) -> None:
        runs.handed_out(run_id, process, connection)

    dispatcher = Dispatcher(session().recorder, connections, launches, per=per, limit=limit, tell=tell)
    waiting = [Run(not_launched_yet(each), WaitingSource(dispatcher, each.run_id)) for each in launches]
    runs = Sweep(waiting, sweep_id)
    dispatcher.start()
    session().sweeps = [sweep for sweep in session().sweeps if any(not run.process.ended for run in sweep)] + [runs]
    return runs


def launch_on_each(
    code: str, *, on: str | Iterable[str], sending: Sending | None = None, **options: Unpack[LaunchOptions]
) -> Sweep:
    """Launches `code` on each of several connections, and returns the list of its runs.

    Where it could not be launched, that is a warning, and the run is `failed`. Options as for `launch`.

    Raises as `launch` does when it could be launched nowhere.
    """
    connections = session().chosen(on)
    launches = checked_copies(checked_launch(code, **_with_former(options, *connections)), len(connections))
    _send_ahead(launches[0], connections, sending)
    session().recorder.begin(launches, None)
    with ThreadPoolExecutor(min(len(launches), ASKED_AT_ONCE)) as pool:
        answers = list(pool.map(_try_launch, launches, connections))
    failed = [answer for answer in answers if isinstance(answer, HopxError)]
    if len(failed) == len(answers):
        raise failed[0]
    for error in failed:
        tell(str(error), AgentWarning)
    runs = [
        Run(_failed(launch, answer) if isinstance(answer, HopxError) else answer, AgentSource(connection))
        for launch, connection, answer in zip(launches, connections, answers, strict=True)
    ]
    tell_of_launches()
    return Sweep(runs, str(launches[0].sweep_id))


def tell_of_launches() -> None:
    """Tells, with the launch that it concerns, also that the history can't be written."""
    session().recorder.settle()
    tell_notes()


def _try_launch(launch: Launch, connection: Connection) -> Process | HopxError:
    try:
        return connection.launch_assigned(launch)
    except HopxError as error:
        session().recorder.failed(launch, error)
        return error


def _failed(launch: Launch, error: HopxError) -> Process:
    reason = f"not launched: {error.message}"
    return msgspec.structs.replace(not_launched_yet(launch), status="failed", status_detail=reason)


def rerun(
    run: Run | str,
    *,
    params: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    on: str | None = None,
    values: Any = None,
) -> Run:
    """Launches the code of an earlier run again, with what it was launched with, and some `params` changed.

    By default where it was launched. It has the variables that the run got, as its agent has kept them, or `values`
    instead. The values of its environment's variables are not kept: this Python process knows those of its own
    launches, others are given again in `env`.

    Raises UnknownRun, LaunchError when something of the run is not known, and else as `launch` does.
    """
    kept = kept_run(run)
    connection = session().connection_of(kept) if on is None else session().connection(on)
    if connection is None:
        raise UnknownConnection(
            f"{kept.run_id} was launched on {printable(str(kept.connection), 60)!r}: there is no connection to it now",
            hint="Connect to it with %hopx_connect, or launch it on this machine with --here.",
        )
    if values is not None and not isinstance(values, Packed):
        values = pack_named(values, Notebook(values)) if values else Packed()
    launch = connection.again(kept, params=params, env=env, values=values)
    if _tries_here(launch, [connection]):
        again = _launched_with_tries(launch, connection, None)
    else:
        again = run_on(connection, connection.launch(launch))
        tell_of_launches()
    again.given = names_in_words(kept.values_in) if values is None else values.in_words()
    return again
