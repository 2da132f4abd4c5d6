"""Connecting, launching, and finding again what was launched."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from ..errors import AgentError, HopxError
from ..models import KeptRun
from ..run import PastRun, Run, Sweep
from ..session import Connection, LaunchOptions, checked_launch, checked_sweep
from .common import session, tell_notes
from .past import kept_run

if TYPE_CHECKING:
    import pandas as pd


def connect(target: str = "local", *, name: str | None = None, token: str | None = None) -> Connection:
    """Chooses the agent that everything below speaks to: `local`, a connection's name, or the URL of an agent.

    The token of a URL is `token`, or else the environment's HOPX_AGENT_TOKEN. Without any call of this, it is `local`.

    Raises ValueError, UnknownConnection, InsecureConnection for http to another machine, AgentError.
    """
    return session().connect(target, name=name, token=token)


def connections() -> "pd.DataFrame":
    """The connections: `name`, `url` (missing for the agent of this machine), and which is the `current` one."""
    import pandas as pd

    session().connection()
    known = session().connections.values()
    return pd.DataFrame(
        {
            "name": pd.array([connection.name for connection in known], dtype="str"),
            "url": pd.array([connection.url for connection in known], dtype="str"),
            "current": [connection.name == session().current for connection in known],
        }
    )


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
    on: str | None = None,
) -> Run:
    """Launches `code` as a background process and returns its `Run` at once.

    `timeout` is in seconds or a text like `2h`; None means no limit. On the local agent the process works in `workdir`,
    by default the present folder, with the Python of this environment. It has none of the caller's variables: `params`
    (numbers, texts, or what JSON can hold) become variables of it. They and `tags` are columns of the history.

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
        on=connection.name,
    )
    tell_notes()
    return Run(session(), process, connection.name)


def sweep(
    code: str,
    sweeps: Mapping[str, Sequence[Any]],
    *,
    limit: int | None = None,
    on: str | None = None,
    **options: Unpack[LaunchOptions],
) -> Sweep:
    """Launches `code` once with every combination of the values of `sweeps`, and returns the list of its runs.

    At most `limit` of them run at once, where the agent can keep that. The other options are those of `launch`; its
    `params` are common to all runs.

    Raises as `launch` does, and NotSupported when the agent can't keep the limit.
    """
    connection = session().connection(on)
    launches = checked_sweep(checked_launch(code, **options), sweeps, limit=limit)
    processes = session().launch_all(launches, on=connection.name)
    tell_notes()
    runs = [Run(session(), process, connection.name) for process in processes]
    return Sweep(runs, str(launches[0].sweep_id))


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
        with contextlib.suppress(AgentError):
            listing = connection.agent.listing(tail=0)
            for process in listing.processes:
                if process.process_id == kept.process_id or (process.run_id and process.run_id == kept.run_id):
                    return Run(session(), process, connection.name)
            kept = session().books.history.find(kept.run_id)  # that it is gone may have become known just now
    return PastRun(session(), kept)
