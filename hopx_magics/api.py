"""What the package offers to plain Python. One session is shared by all callers and by the magics.

```python
import hopx_magics as hopx

run = hopx.launch("print(1)", name="one")
run.wait()
hopx.ps(status="running")
```
"""

import functools
import os
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

from .display import frames
from .durations import parse_duration
from .models import STATUSES, Process, ProcessId, Status
from .run import Run
from .session import Connection, Session, checked_language, find_process

if TYPE_CHECKING:
    import pandas as pd

    from .watching import LiveTable

TAIL = 65_536
"""Bytes of each stream that a listing shows by default: all of an ordinary output, the end of a huge one."""

_TAILS: dict[str, int | None] = {"none": 0, "tail": TAIL, "full": None}
OUTPUTS = tuple(_TAILS)

WATCH_GROUPS = ("status", "name", "connection")
WATCH_SORTS = (
    *("status", "name", "progress", "elapsed", "started", "exit_code", "language", "id", "connection"),
    *("started_at", "execution_time", "process_id"),
)
"""What a live table can be sorted by: its own columns, and the names that those have in a DataFrame."""

_WATCH_COLUMNS = {
    f"{sign}{theirs}": f"{sign}{ours}"
    for theirs, ours in (("started_at", "started"), ("execution_time", "elapsed"), ("process_id", "id"))
    for sign in ("", "-")
}

SHORTEST_INTERVAL = 0.2
"""Seconds between two questions to an agent, at least: its rate limit is 300 a minute."""


_tables: "weakref.WeakSet[LiveTable]" = weakref.WeakSet()


@functools.cache
def session() -> Session:
    """The session of this Python process."""
    made = Session()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=made.renew_after_fork)
    return made


def connect(target: str = "local", *, name: str | None = None, token: str | None = None) -> Connection:
    """Chooses the agent that everything below speaks to: `local`, a connection's name, or the URL of an agent.

    The token of a URL is `token`, or else the environment's HOPX_AGENT_TOKEN. Without any call of this, it is `local`.

    Raises ValueError, UnknownConnection, InsecureConnection for http to another machine, AgentError.
    """
    return session().connect(target, name=name, token=token)


def launch(
    code: str,
    *,
    language: str = "python",
    name: str | None = None,
    timeout: str | float | None = None,
    env: Mapping[str, str] | None = None,
    workdir: str | None = None,
    on: str | None = None,
) -> Run:
    """Launches `code` as a background process and returns its `Run` at once.

    `timeout` is in seconds or a text like `2h`; None means no limit. On the local agent the process works in `workdir`,
    by default the present folder, with the Python of this environment. It has none of the caller's variables.

    Raises ValueError for an argument that can't be used, CodeError for Python that doesn't compile, LaunchError,
    AgentError.
    """
    connection = session().connection(on)
    process = session().launch(
        code, language=language, name=name, timeout=timeout, env=env, workdir=workdir, on=connection.name
    )
    return Run(session(), process, connection.name)


def attach(reference: str, *, on: str | None = None) -> Run:
    """The `Run` of a process that the agent lists: by id, unique beginning of an id, or name (the newest of it).

    Raises UnknownProcess that names the nearest ones, AgentError.
    """
    connection = session().connection(on)
    (process,) = session().find([reference], on=connection.name)
    return Run(session(), process, connection.name)


def ps(
    *references: str | Run,
    status: str | Iterable[str] = (),
    language: str | None = None,
    name: str | None = None,
    since: str | float | None = None,
    sort: str | None = None,
    limit: int | None = None,
    output: str = "tail",
    by: str | None = None,
    on: str | None = None,
) -> "pd.DataFrame":
    """The agent's processes as a DataFrame, newest first, or those of them that are asked for.

    `references` are runs, ids, beginnings of ids, or names; `name` is a pattern such as `train-*`; `since` is a span
    such as `2h`. `sort` is a column, `-column` for downwards; `limit` the number of rows. `output` is `none`, `tail`
    (the last 64 kB of each stream) or `full`. `by` gives one row for each value of a column instead: `count`, sum,
    mean and max of `execution_time` in seconds, and the last start.

    Raises ValueError for an argument that can't be used, UnknownProcess for a reference without any, AgentError.
    """
    wanted = [reference.process_id if isinstance(reference, Run) else reference for reference in references]
    choose = _chooser(wanted, status, language, name, since, limit)
    if output not in OUTPUTS:
        raise ValueError(f"{output!r} is no choice of output: use {', '.join(OUTPUTS)}")
    connection = session().connection(on)
    listing = session().listing(tail=_TAILS[output], on=connection.name)
    for reference in wanted:
        if not any(frames.is_meant(process, reference) for process in listing.processes):
            find_process(listing, reference)  # raises the error that names the nearest ones
    chosen = msgspec.structs.replace(listing, processes=tuple(filter(choose, listing.processes)))
    frame = frames.processes_frame(chosen, connection.name)
    frame = frames.sorted_frame(frame, sort) if by is None else frames.grouped_frame(frame, by, sort)
    return frame if limit is None else frame.head(limit)


def watch(
    *references: str | Run,
    status: str | Iterable[str] = (),
    language: str | None = None,
    name: str | None = None,
    since: str | float | None = None,
    sort: str | None = None,
    limit: int | None = None,
    by: str | None = None,
    interval: str | float | None = None,
    notify: bool = False,
    on: str | Iterable[str] | None = None,
) -> "LiveTable":
    """A live table of processes with viewers of their output, which shows itself in a notebook.

    What it shows is chosen as in `ps`: `limit` keeps the newest, `sort` and `by` (status, name or connection) are how
    it begins, and `on` may be several connections. An agent that can't tell of changes is asked every `interval`,
    by default each second. `notify` asks the browser to tell when a process that ran for over 10 s has ended.

    The table is an ipywidget with `selected` (runs), `frame()` (the shown rows) and `close()`.

    Raises ValueError for an argument that can't be used, UnknownConnection.
    """
    from .watching import LiveTable

    wanted = [reference.process_id if isinstance(reference, Run) else reference for reference in references]
    if sort is not None and sort.lstrip("-") not in WATCH_SORTS:
        raise ValueError(f"a live table has no column {sort.lstrip('-')!r}: use {', '.join(WATCH_SORTS)}")
    if by is not None and by not in WATCH_GROUPS:
        raise ValueError(f"a live table can't be grouped by {by!r}: use {', '.join(WATCH_GROUPS)}")
    pause = None if interval is None else parse_duration(interval)
    if pause is not None and pause < SHORTEST_INTERVAL:
        raise ValueError(f"an interval of {pause:g} s is too short: use {SHORTEST_INTERVAL:g}s or more")
    names: list[str | None] = [on] if isinstance(on, str) or on is None else [*on] or [None]
    table = LiveTable(
        session(),
        list({connection.name: connection for connection in map(session().connection, names)}.values()),
        _chooser(wanted, status, language, name, since, limit),
        sort=_WATCH_COLUMNS.get(sort, sort) if sort else None,
        group=by,
        limit=limit,
        interval=pause,
        notify=notify,
    )
    _tables.add(table)
    return table


def close_tables() -> None:
    """Closes all live tables: they keep their last state."""
    for table in list(_tables):
        table.close()


def wait(
    *runs: Run | str | Iterable[Run | str],
    any_one: bool = False,
    timeout: str | float | None = None,
    progress: Callable[[list[Process], int], None] | None = None,
    on: str | None = None,
) -> list[Run]:
    """Waits until all of the runs, or any one of them, have ended.

    Without runs: for those that were launched from here and not yet waited for, also if they have ended by now; if
    there are none, for all that are queued or running. Returns the runs. `progress` is called at least every second
    with the processes as listed and their number.

    Raises WaitTimeout, WaitInterrupted after Ctrl-C (the processes go on), UnknownProcess, AgentError.
    """
    chosen = runs_of(runs, on=on) if runs else _unwaited(on) or _with_status(("queued", "running"), on)
    by_id = {run.process_id: run for run in chosen}
    listed = session().wait(
        _by_connection(by_id.values()),
        any_one=any_one,
        timeout=None if timeout is None else parse_duration(timeout),
        progress=progress and (lambda processes: progress(processes, len(by_id))),
    )
    for process in listed:
        by_id[process.process_id].see(process)
    return chosen


def kill(
    *runs: Run | str | Iterable[Run | str], status: str | Iterable[str] = (), on: str | None = None
) -> "pd.DataFrame":
    """Kills runs with all their children, or all processes of some statuses, and checks in the listing that they died.

    Returns one row for each: `process_id`, `name`, `result` (killed, already finished, still running, unknown id),
    `status` and `connection`.

    Raises UnknownProcess, AgentError.
    """
    states = checked_statuses([status] if isinstance(status, str) else status)
    if not {"queued", "running"}.issuperset(states):
        raise ValueError("only what is queued or running can be killed")
    chosen = {run.process_id: run for run in [*runs_of(runs, on=on), *(_with_status(states, on) if states else ())]}
    killed = {name: session().kill(ids, on=name) for name, ids in _by_connection(chosen.values()).items()}
    return frames.killed_frame(killed)


def runs_of(runs: Iterable[Run | str | Iterable[Run | str]], *, on: str | None = None) -> list[Run]:
    """Each of the runs once, also of lists of them; ids, their beginnings and names are looked up in one listing."""
    given = [run for item in runs for run in ([item] if isinstance(item, Run | str) else item)]
    connection = session().connection(on).name
    references = [run for run in given if isinstance(run, str)]
    found = dict(zip(references, session().find(references, on=connection), strict=True))
    chosen = [Run(session(), found[run], connection) if isinstance(run, str) else run for run in given]
    return list({(run.connection, run.process_id): run for run in chosen}.values())


def frame_of(runs: Iterable[Run]) -> "pd.DataFrame":
    """The DataFrame of some runs, in the listing's order."""
    import pandas as pd

    parts = []
    for connection, ids in _by_connection(runs).items():
        listing = session().listing(tail=TAIL, on=connection)
        chosen = tuple(process for process in listing.processes if process.process_id in ids)
        parts.append(frames.processes_frame(msgspec.structs.replace(listing, processes=chosen), connection))
    return pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0] if parts else frames.empty_frame()


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


def checked_statuses(words: Iterable[str]) -> list[Status]:
    """The statuses of these names. Raises ValueError that names all of them."""
    statuses: list[Status] = []
    for word in words:
        found = [status for status in STATUSES if status == word.strip().lower()]
        if not found:
            raise ValueError(f"{word!r} is no status: use {', '.join(STATUSES)}")
        statuses += found
    return statuses


def _chooser(
    wanted: list[str],
    status: str | Iterable[str],
    language: str | None,
    name: str | None,
    since: str | float | None,
    limit: int | None,
) -> Callable[[Process], bool]:
    """Tells of a process whether these filters mean it. Raises ValueError for one that can't be used."""
    if limit is not None and limit < 0:
        raise ValueError(f"a limit of {limit} rows can't be: use 0 or more")
    return frames.chooser(
        references=wanted,
        statuses=checked_statuses([status] if isinstance(status, str) else status),
        language=checked_language(language) if language else None,
        name=name,
        since=None if since is None else parse_duration(since),
    )


def _unwaited(on: str | None) -> list[Run]:
    """The runs of a connection, or of all, that were launched here and not yet waited for."""
    return [
        Run(session(), Process(process_id=process_id), connection)
        for process_id, connection in list(session().unwaited.items())
        if on in (None, connection)
    ]


def _with_status(statuses: Iterable[Status], on: str | None) -> list[Run]:
    connection = session().connection(on).name
    wanted = frozenset(statuses)
    listing = session().listing(tail=0, on=connection)
    return [Run(session(), process, connection) for process in listing.processes if process.status in wanted]


def _by_connection(runs: Iterable[Run]) -> dict[str, list[ProcessId]]:
    ids: dict[str, list[ProcessId]] = {}
    for run in runs:
        ids.setdefault(run.connection, []).append(run.process_id)
    return ids
