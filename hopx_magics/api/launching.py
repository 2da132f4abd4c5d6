"""Launching, and finding again what was launched."""

import contextlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Unpack

import msgspec

from ..errors import AgentWarning, HopxError
from ..models import Callback, Capture, KeptRun, Launch, Process
from ..run import DispatchedRun, PastRun, Run, Sweep
from ..session import LaunchOptions, checked_copies, checked_launch, checked_sweep, not_launched_yet
from .common import session, tell_notes
from .past import kept_run


def launch(
    code: str,
    *,
    language: str = "python",
    name: str | None = None,
    timeout: str | float | None = None,
    env: Mapping[str, str] | None = None,
    workdir: str | None = None,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    callback: Callback | None = None,
    capture: Capture = "auto",
    on: str | None = None,
) -> Run:
    """Launches `code` as a background process and returns its `Run` at once.

    `timeout` is in seconds or a text like `2h`; None means no limit. On the local agent the process works in `workdir`,
    by default the present folder, with the Python of this environment. It has none of the caller's variables: `params`
    (numbers, texts, or what JSON can hold) become variables of it. They and `tags` are columns of the history. The
    agent tells the end to a `callback`. `capture` says who keeps the output where the agent does not return it:
    `files` of the sandbox, the `agent`, or `auto`, whichever works.

    Raises ValueError for an argument that can't be used, CodeError for Python that doesn't compile, LaunchError,
    AgentError.
    """
    connection = session().connection(on)
    process = session().launch(
        code,
        language=language,
        name=name,
        timeout=timeout,
        env=env,
        workdir=workdir,
        params=params,
        tags=tags,
        callback=callback,
        capture=capture,
        on=connection.name,
    )
    tell_notes()
    return Run(session(), process, connection.name)


def sweep(
    code: str,
    sweeps: Mapping[str, Sequence[Any]],
    *,
    limit: int | None = None,
    per: int | None = None,
    on: str | Iterable[str] | None = None,
    **options: Unpack[LaunchOptions],
) -> Sweep:
    """Launches `code` once with every combination of the values of `sweeps`, and returns the list of its runs.

    At most `limit` of them run at once. On several connections they are spread: at most `per` run on each, the next one
    is handed out when one has ended, and none to an agent that does not answer. The handing out is done by this Python
    process; a single agent that can keep the limit by itself gets all at once. The other options are those of `launch`.

    Raises as `launch` does.
    """
    connections = session().chosen(on)
    least = min((number for number in (limit, per) if number is not None), default=None)
    launches = checked_sweep(checked_launch(code, **options), sweeps, limit=least)
    sweep_id = str(launches[0].sweep_id)
    (first, *others) = connections
    unlimited = least is None or least >= len(launches)
    if not others and (unlimited or first.agent.keeps_limits()):
        processes = session().launch_all(launches, on=first.name)
        tell_notes()
        return Sweep([Run(session(), process, first.name) for process in processes], sweep_id)
    runs = Sweep([DispatchedRun(session(), not_launched_yet(launch)) for launch in launches], sweep_id)
    dispatcher = session().dispatch(launches, connections, per=per, limit=limit, tell=runs.tell)
    runs.dispatched_by(dispatcher)
    dispatcher.start()
    tell_notes()
    return runs


def launch_on_each(code: str, *, on: str | Iterable[str], **options: Unpack[LaunchOptions]) -> Sweep:
    """Launches `code` on each of several connections, and returns the list of its runs.

    Where it could not be launched, that is a warning, and the run is `failed`. Options as for `launch`.

    Raises as `launch` does when it could be launched nowhere.
    """
    connections = session().chosen(on)
    launches = checked_copies(checked_launch(code, **options), len(connections))
    answers = session().launch_on_each(launches, connections)
    failed = [answer for answer in answers if isinstance(answer, HopxError)]
    if len(failed) == len(answers):
        raise failed[0]
    for error in failed:
        warnings.warn(str(error), AgentWarning, stacklevel=2)
    runs = [
        Run(session(), _failed(launch, answer) if isinstance(answer, HopxError) else answer, connection.name)
        for launch, connection, answer in zip(launches, connections, answers, strict=True)
    ]
    tell_notes()
    return Sweep(runs, str(launches[0].sweep_id))


def _failed(launch: Launch, error: HopxError) -> Process:
    reason = f"not launched: {error.message}"
    return msgspec.structs.replace(not_launched_yet(launch), status="failed", status_detail=reason)


def rerun(
    run: Run | str,
    *,
    params: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    on: str | None = None,
) -> Run:
    """Launches the code of an earlier run again, with what it was launched with, and some `params` changed.

    By default where it was launched. The values of its environment's variables are not kept: this Python process knows
    those of its own launches, others are given again in `env`.

    Raises UnknownRun, LaunchError when something of the run is not known, and else as `launch` does.
    """
    process, connection = session().rerun(kept_run(run), params=params, env=env, on=on)
    tell_notes()
    return Run(session(), process, connection)


def attach(reference: str, *, on: str | None = None) -> Run:
    """The `Run` of something that was launched at any time: by id, unique beginning of an id, or name (the newest).

    What its agent still has gives a `Run` as `launch` returns it. What is gone, or on an agent that there is no
    connection to, gives one that tells what the history knows, and can't be waited for or killed.

    Raises UnknownProcess that names the nearest ones, AgentError.
    """
    connection = session().connection(on)
    try:
        (process,) = session().find([reference], on=connection.name)
        return Run(session(), process, connection.name)
    except HopxError as error:
        try:
            kept = session().books.history.find(reference)
        except HopxError:
            raise error from None
        return _run_of(kept)


def _run_of(kept: KeptRun) -> Run:
    connection = session().connection_of(kept)
    if connection is not None:
        with contextlib.suppress(HopxError):
            listing = connection.agent.listing(tail=0)
            for process in listing.processes:
                if process.process_id == kept.process_id or (process.run_id and process.run_id == kept.run_id):
                    return Run(session(), process, connection.name)
            kept = session().books.history.find(kept.run_id)  # that it is gone may have become known just now
    return PastRun(session(), kept)
