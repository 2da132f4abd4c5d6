"""Connections, HopX sandboxes, and what can be done in them besides launching: commands and files."""

import posixpath
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..durations import parse_duration
from ..models import CommandResult
from ..session import Connection
from .common import session

if TYPE_CHECKING:
    import pandas as pd

TEMPLATE = "code-interpreter"
"""The template of a new sandbox when none is named."""

Progress = Callable[[str, int, int | None], object]
"""Called with a file's name, the bytes that were copied so far, and all there are if that is known."""


def connect(
    target: Any = "local", *, name: str | None = None, token: str | None = None, resume: bool = False
) -> Connection:
    """Chooses the agent that everything else speaks to.

    `target` is `local`, a connection's name, the URL of an agent, the id of a HopX sandbox, or a live `Sandbox` object
    of the vendor's SDK. The token of a URL is `token`, or else the environment's HOPX_AGENT_TOKEN; a sandbox needs the
    API key of its account (HOPX_API_KEY). `resume` resumes a sandbox that is paused. Without any call of this, it is
    `local`.

    Raises ValueError, UnknownConnection, InsecureConnection for http to another machine, AgentError, SandboxError,
    ControlPlaneError, CredentialsError.
    """
    return session().connect(target, name=name, token=token, resume=resume)


def create(
    template: str = TEMPLATE,
    count: int = 1,
    *,
    name: str | None = None,
    timeout: str | float | None = None,
    region: str | None = None,
    env: Mapping[str, str] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> list[Connection]:
    """Creates HopX sandboxes, waits until they are ready, and connects to them.

    After `timeout`, in seconds or a text like `4h`, HopX deletes them. Several are called `name-1`, `name-2` and so on.
    `say` is called with how far that has come.

    Raises ValueError, ControlPlaneError, CredentialsError, SandboxNotReady.
    """
    if count < 1:
        raise ValueError(f"{count} sandboxes can't be created: use 1 or more")
    seconds = None if timeout is None else max(1, round(parse_duration(timeout)))
    return session().create_sandboxes(template, count, name=name, timeout=seconds, region=region, env=env, say=say)


def disconnect(name: str, *, delete: bool = False) -> Connection:
    """Forgets a connection; what runs there goes on. `delete` deletes its sandbox with all that is in it.

    Raises UnknownConnection, ValueError, ControlPlaneError, SandboxError.
    """
    return session().disconnect(name, delete=delete)


def extend(name: str, timeout: str | float) -> datetime | None:
    """Lets a connection's sandbox go on for so long from now, in seconds or a text like `2h`; returns when it ends.

    Raises UnknownConnection, ValueError, ControlPlaneError, SandboxError.
    """
    return session().extend(name, max(1, round(parse_duration(timeout))))


def sandboxes() -> "pd.DataFrame":
    """All sandboxes of the account: `sandbox`, `status`, `template`, `region`, `vcpu`, `memory_mb`, `disk_mb`,
    `created_at`, `expires_at`, `expires_in` (a timedelta), and as what it is `connected`.

    Raises ControlPlaneError, CredentialsError.
    """
    from ..display.connection_frames import sandboxes_frame

    return sandboxes_frame([(owned.sandbox, owned.connection) for owned in session().sandboxes()])


def connections() -> "pd.DataFrame":
    """The connections: `name`, `url` (missing for agents that may move), `sandbox`, and which is the `current` one."""
    from ..display.connection_frames import connections_frame

    session().connection()
    rows = [
        (each.name, each.url, each.place.sandbox, each.name == session().current)
        for each in list(session().connections.values())
    ]
    return connections_frame(rows)


def run_command(command: str, *, timeout: str | float = 30.0, on: str | None = None) -> CommandResult:
    """Runs one line of bash on an agent, in the foreground, and returns its output and exit code.

    Raises ValueError, NotSupported, AgentError.
    """
    return session().run_command(command, timeout=parse_duration(timeout), on=on)


def put(
    local: Iterable[str | Path], remote: str, *, on: str | None = None, progress: Progress | None = None
) -> list[str]:
    """Copies files of this machine to an agent, and returns their paths there.

    `remote` is a folder if it ends in `/` or if there are several files. Raises ValueError, AgentError.
    """
    paths = [Path(path).expanduser() for path in local]
    for path in paths:
        if not path.is_file():
            raise ValueError(f"{path} is no file: use the paths of files on this machine")
    folder = remote if remote.endswith("/") or len(paths) == 1 else f"{remote}/"
    files = session().files(on)
    return [files.put(path, folder, _told(progress, path.name)) for path in paths]


def get(remote: str, local: str | Path = ".", *, on: str | None = None, progress: Progress | None = None) -> Path:
    """Copies a file of an agent to this machine: whole, or not at all. Returns where it is.

    `local` may be a folder. Raises ValueError, AgentError, OSError when it can't be written here.
    """
    return session().files(on).get(remote, Path(local).expanduser(), _told(progress, posixpath.basename(remote)))


def ls(path: str | None = None, *, on: str | None = None) -> "pd.DataFrame":
    """The files of a folder of an agent, by default its work folder: `name`, `size`, `is_directory`, `permissions`,
    `modified_at`, `path`.

    Raises ValueError, AgentError.
    """
    from ..display.connection_frames import files_frame

    files = session().files(on)
    return files_frame(files.list(path) if path else files.list())


def _told(progress: Progress | None, name: str) -> Callable[[int, int | None], object] | None:
    return None if progress is None else lambda done, total: progress(name, done, total)
