"""Connections to agents, and HopX sandboxes."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from ..connection.connection import Connection
from ..connection.local import LOCAL
from ..durations import parse_duration
from ..errors import HopxError, UnknownConnection
from ..output.oneline import printable
from ..session.connecting import SshOptions, check_target, connection_to, create_sandboxes, say_nothing
from ..session.ray_clusters import RayOptions
from ..session.session import Default, session

if TYPE_CHECKING:
    import pandas as pd

TEMPLATE = "code-interpreter"
"""The template of a new sandbox when none is named."""


def connect(
    target: Any = "local",
    *,
    name: str | None = None,
    token: str | None = None,
    resume: bool = False,
    python: str | None = None,
    setup: str | None = None,
    trust: bool | None = None,
    install: bool = False,
    sync: bool = False,
    insecure: bool = False,
    pip: Iterable[str] = (),
    env_file: str | None = None,
    say: Callable[[str], None] = say_nothing,
) -> Connection:
    """Chooses the agent that everything else speaks to.

    `target` is `local`, a connection's name, `ssh://[user@]host[:port]`, `ray http://head:8265` for a Ray cluster by
    the dashboard of its head, the URL of an agent, the id of a HopX sandbox, or a live `Sandbox` object of the vendor's
    SDK. Connections by ssh, to Ray and to URLs are known to later programs by their names, too. The token of a URL is
    `token`, or else the environment's HOPX_AGENT_TOKEN; a sandbox needs the API key of its account (HOPX_API_KEY).
    `resume` resumes a sandbox that is paused. Without any call of this, it is `local`.

    By ssh, `python` is the path of the Python there that has this package, and `setup` what a shell does there before.
    Where the package is missing, or is of another version, `install` makes an environment that has it, in the user's
    data folder there. What is launched works in `~/hopx/NAME`; `sync` copies the present folder there, without what its
    `.gitignore` leaves out. `say` is called with how far that has come. What cells leave there is loaded like what this
    machine has left, unless `trust` is False.

    On a Ray cluster all runs have the packages of `pip`, or what the file `env_file` has, a runtime_env of Ray in YAML.
    The token and headers are those of Ray's own programs: RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH, RAY_JOB_HEADERS. http to
    another machine has to be wanted as `insecure`. What cells leave there is read without running code, unless there is
    `trust`.

    Raises ValueError, UnknownConnection, InsecureConnection for http to another machine, SshError, AgentError,
    SandboxError, ControlPlaneError, CredentialsError.
    """
    ssh = SshOptions(python, setup, trust, install, sync, say)
    ray = RayOptions(insecure, tuple(pip), env_file)
    connection = connection_to(session(), target, name=name, token=token, resume=resume, ssh=ssh, ray=ray)
    session().add(connection)
    return connection


def use_connection(target: str) -> None:
    """Means `target`, as `connect` knows it, wherever no connection is named; it is connected to when first needed.

    Empty: this machine. Raises ValueError, InsecureConnection and UnknownConnection for what there is not.
    """
    target = target.strip() or LOCAL
    check_target(session(), target)
    if target in (LOCAL, *session().connections):
        session().add(session().connection(target))
    else:
        session().default = Default(target, partial(_connect_to_default, target))


def _connect_to_default(target: str) -> None:
    try:
        connect(target)
    except HopxError as error:
        error.hint = f"{f'{error.hint} ' if error.hint else ''}{_IS_DEFAULT}"
        raise
    except ValueError as error:
        raise UnknownConnection(f"{printable(target, 60)}: {error}", hint=_IS_DEFAULT) from None


_IS_DEFAULT = "It is the default, %config HopxMagics.connection; %hopx_connect local chooses this machine."


def create(
    template: str = TEMPLATE,
    count: int = 1,
    *,
    name: str | None = None,
    timeout: str | float | None = None,
    region: str | None = None,
    env: Mapping[str, str] | None = None,
    say: Callable[[str], None] = say_nothing,
) -> list[Connection]:
    """Creates HopX sandboxes, waits until they are ready, and connects to them.

    After `timeout`, in seconds or a text like `4h`, HopX deletes them. Several are called `name-1`, `name-2` and so on.
    `say` is called with how far that has come.

    Raises ValueError, ControlPlaneError, CredentialsError, SandboxNotReady.
    """
    if count < 1:
        raise ValueError(f"{count} sandboxes can't be created: use 1 or more")
    seconds = None if timeout is None else max(1, round(parse_duration(timeout)))
    made = create_sandboxes(session(), template, count, name=name, timeout=seconds, region=region, env=env, say=say)
    session().add(*made)
    return made


def disconnect(name: str, *, delete: bool = False) -> Connection:
    """Forgets a connection; what runs there goes on. `delete` deletes its sandbox with all that is in it.

    Raises UnknownConnection, ValueError, ControlPlaneError, SandboxError.
    """
    connection = session().connection(name)
    if connection.name == LOCAL:
        raise ValueError("the local agent is always connected")
    if delete:
        sandbox_id = _sandbox_of(connection, "it can't be deleted")
        session().control_plane.delete(sandbox_id)
    session().drop(connection)
    return connection


def extend(name: str, timeout: str | float) -> datetime | None:
    """Lets a connection's sandbox go on for so long from now, in seconds or a text like `2h`; returns when it ends.

    Raises UnknownConnection, ValueError, ControlPlaneError, SandboxError.
    """
    seconds = max(1, round(parse_duration(timeout)))
    connection = session().connection(name)
    sandbox_id = _sandbox_of(connection, "it has no end that could be put off")
    ends = session().control_plane.extend(sandbox_id, seconds)
    if connection.expiry:
        connection.expiry.know(ends)
    return ends


def _sandbox_of(connection: Connection, otherwise: str) -> str:
    """The id of a connection's sandbox. Raises ValueError that says what that means for what is none."""
    if connection.place.sandbox is None:
        raise ValueError(f"{connection.name} is no sandbox: {otherwise}")
    return connection.place.sandbox


def sandboxes() -> "pd.DataFrame":
    """All sandboxes of the account: `sandbox`, `status`, `template`, `region`, `vcpu`, `memory_mb`, `disk_mb`,
    `created_at`, `expires_at`, `expires_in` (a timedelta), and as what it is `connected`.

    Raises ControlPlaneError, CredentialsError.
    """
    from ..display.connection_frames import sandboxes_frame

    connected = {each.place.sandbox: each.name for each in session().connections.values() if each.place.sandbox}
    found = session().control_plane.sandboxes()
    return sandboxes_frame([(sandbox, connected.get(sandbox.sandbox_id)) for sandbox in found])


def connections() -> "pd.DataFrame":
    """The connections: `name`, `url` (missing for agents that may move), `sandbox`, which is the `current` one, and
    whether this program is `connected` to it: those of earlier kernels are connected to again by their names.
    """
    from ..display.connection_frames import connections_frame

    default = session().default
    session().connection(LOCAL if default else None)
    current = default.target if default else session().current
    connected = list(session().connections.values())
    rows = [(each.name, each.url, each.place.sandbox, each.name == current, True) for each in connected]
    names = {each.name for each in connected}
    earlier = [(name, kept.target) for name, kept in session().kept.all().items() if name not in names]
    if current not in {*names, *(name for name, _ in earlier)}:
        earlier.append((current, current))
    return connections_frame([*rows, *((name, url, None, name == current, False) for name, url in earlier)])


def forget(name: str) -> None:
    """Forgets how a connection of this name is made, which the next kernel would know. Raises UnknownConnection."""
    if not session().kept.forget(name):
        raise UnknownConnection(
            f"nothing is kept of a connection {printable(name, 60)!r}",
            hint="%hopx_connect shows the connections, %hopx_disconnect ends one.",
        )
