"""From a name, a URL, an address of ssh or of Ray, the id or object of a sandbox to the connection to it."""

import os
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ..client.control_plane import CREATED_AT_ONCE
from ..client.installing import install
from ..client.sandbox import Expiry, SandboxEndpoint, find_usable, wait_for_agents
from ..client.ssh import SCHEME, parse_address
from ..client.ssh_agent import SshAgent
from ..client.syncing import to_copy
from ..client.transport import Endpoint, checked_url
from ..client.tunnel import Found, Unsuitable, Way
from ..client.vendor import VendorSandbox, is_vendor_sandbox
from ..connection.connection import Connection
from ..connection.local import LOCAL
from ..connection.ray import RayConnection
from ..connection.ssh import SshConnection
from ..errors import CredentialsError, HopxError, SandboxGone, UnknownConnection
from ..models import Place, Sandbox
from ..output.oneline import printable
from .finding import nearest
from .kept_connections import KeptConnection
from .ray_clusters import SCHEME as RAY
from .ray_clusters import RayOptions, ray_endpoint, ray_url, runtime_env
from .session import Session


def say_nothing(line: str) -> None:
    """Tells nobody how far something has come."""


class SshOptions(msgspec.Struct, frozen=True):
    """How to connect by ssh: see `hopx_magics.connect`."""

    python: str | None = None
    setup: str | None = None
    trust: bool | None = None
    install: bool = False
    sync: bool = False
    say: Callable[[str], None] = say_nothing


_NO_OPTIONS = SshOptions()
_NO_RAY_OPTIONS = RayOptions()


def connection_to(
    session: Session,
    target: Any,
    *,
    name: str | None = None,
    token: str | None = None,
    resume: bool = False,
    ssh: SshOptions = _NO_OPTIONS,
    ray: RayOptions = _NO_RAY_OPTIONS,
) -> Connection:
    """The connection to `target`, under this name, whose agent has answered: the one there is, or a new one.

    `resume` resumes a sandbox that is paused. Raises what `hopx_magics.connect` raises.
    """
    if not isinstance(target, str):
        if not is_vendor_sandbox(target):
            raise ValueError(f"a {type(target).__name__} can't be connected to: use an id, a URL, or a Sandbox")
        return _to_vendor_sandbox(session, target, name)
    if target.startswith(SCHEME):
        return _to_ssh(session, target, name, ssh)
    if target.startswith(RAY):
        return _to_ray(session, target, name, ssh, ray)
    changes = msgspec.structs.replace(ssh, say=say_nothing) != _NO_OPTIONS or ray != _NO_RAY_OPTIONS
    kept = session.kept.find(target)
    if kept and (target not in session.connections or changes):
        if name is not None and name != target:
            raise ValueError(f"{target!r} has its name: only a new connection is given one")
        if kept.target.startswith(RAY):
            return _to_ray(session, kept.target, target, ssh, _ray_as_kept(kept, ray), kept)
        return connection_to(session, kept.target, name=target, token=token, ssh=_as_kept(kept, ssh))
    if ray != _NO_RAY_OPTIONS:
        raise ValueError("insecure, pip and env_file are for a Ray cluster: ray http://HEAD:8265")
    if changes:
        raise ValueError("python, setup, install, sync and trust are for what is reached by ssh://[user@]host")
    if "://" in target:
        return _to_url(session, checked_url(target), name, token or os.environ.get("HOPX_AGENT_TOKEN"))
    if target == LOCAL or target in session.connections:
        if name is not None and name != target:
            raise ValueError(f"{target!r} has its name: only a new connection is given one")
        connection = session.connection(target)
        connection.listing(tail=0)
        return connection
    return _to_sandbox(session, target, name, resume)


def check_target(session: Session, target: str) -> None:
    """Raises ValueError, InsecureConnection or UnknownConnection for what can't be connected to, as far as is known.

    A word that is nobody's name may be the id of a sandbox, where there is an account.
    """
    if target.startswith(SCHEME):
        parse_address(target)
    elif target.startswith(RAY):
        ray_url(target, insecure=False)
    elif "://" in target:
        checked_url(target)
    elif target not in (LOCAL, *session.connections) and not session.kept.find(target) and not session.has_api_key:
        known = [LOCAL, *session.connections, *session.kept.all()]
        raise UnknownConnection(
            f"no connection is named {printable(target, 60)!r}{nearest(target, known)}",
            hint="%hopx_connect shows the connections; ssh://HOST, ray URL and URLs are taken as well.",
        )


def _to_url(session: Session, url: str, name: str | None, token: str | None) -> Connection:
    """A connection to `url` that works; the one there is, with the new token, if there is one of that name."""
    if token is not None and not (token.isascii() and token.isprintable() and token == token.strip()):
        raise ValueError("the token has characters that no token has: a line end, a space?")
    endpoint = Endpoint(url, token)
    place = Place(_free_name(session, name or urlsplit(url).netloc, url), url)
    made = Connection(place, lambda http: endpoint, session.settings, session.recorder, url=url)
    connection = _answering(session, made)
    session.kept.keep(connection.name, KeptConnection(url, url))
    return connection


def _to_ssh(session: Session, url: str, name: str | None, options: SshOptions) -> Connection:
    """A connection by ssh that works; the one there is, by the new ssh, if there is one of that name."""
    address, settings = parse_address(url), session.settings
    name = _free_name(session, name or address.host, None)
    way = Way(address, settings.ssh, _folder_name(name), options.python, options.setup)
    ssh = SshAgent(way, settings.state_folder)
    copied = to_copy(Path.cwd()) if options.sync else None
    options.say(f"connecting to {address.host}")
    found = _found_or_installed(ssh, options)
    made = SshConnection(name, ssh, found, settings, session.recorder, trusted=options.trust is not False)
    try:
        _free_name(session, name, made.place.agent)
        if copied:
            ssh.copy(copied, options.say)
    except BaseException:
        made.close()
        raise
    connection = _answering(session, made)
    kept = KeptConnection(url, made.place.agent, ssh.way.python, options.setup, options.trust is not False)
    session.kept.keep(connection.name, kept)
    return connection


def _to_ray(
    session: Session,
    target: str,
    name: str | None,
    ssh: SshOptions,
    options: RayOptions,
    kept: KeptConnection | None = None,
) -> Connection:
    """A connection to a Ray cluster that works; the one there is, made anew, if there is one of that name."""
    if ssh.python or ssh.setup or ssh.install or ssh.sync:
        raise ValueError("python, setup, install and sync are for what is reached by ssh://[user@]host")
    url = ray_url(target, insecure=options.insecure)
    name = _free_name(session, name or "ray", url)
    trusted = bool(kept and kept.trust) if ssh.trust is None else ssh.trust
    made = RayConnection(
        name,
        ray_endpoint(url, os.environ),
        session.settings,
        session.recorder,
        runtime_env=runtime_env(options),
        trusted=trusted,
    )
    try:
        made.ray.version()
    except HopxError:
        made.close()
        raise
    connection = _answering(session, made)
    how = {name: getattr(options, name) for name in ("insecure", "pip", "env_file")}
    session.kept.keep(connection.name, KeptConnection(f"{RAY}{url}", url, trust=trusted, **how))
    return connection


def _ray_as_kept(kept: KeptConnection, options: RayOptions) -> RayOptions:
    """How a kept connection to a Ray cluster is made again, with what is to be different now."""
    return RayOptions(
        insecure=options.insecure or kept.insecure,
        pip=options.pip or kept.pip,
        env_file=options.env_file or kept.env_file,
    )


def _as_kept(kept: KeptConnection, options: SshOptions) -> SshOptions:
    """How a kept connection is made again, with what is to be different now."""
    if not kept.target.startswith(SCHEME):
        return options
    how = {"python": options.python or kept.python, "setup": options.setup or kept.setup}
    trust = kept.trust if options.trust is None else options.trust
    return msgspec.structs.replace(options, trust=trust, **how)


def _found_or_installed(ssh: SshAgent, options: SshOptions) -> Found:
    """The agent there; this package is installed there first, if it has to be, and may be."""
    try:
        return ssh.find()
    except Unsuitable as error:
        if not options.install or error.python is None:
            raise
        install(ssh.way, error.python, options.say)
    ssh.way = msgspec.structs.replace(ssh.way, python=None)
    return ssh.find()


def _folder_name(name: str) -> str:
    """The name of the folder of a connection: one that is a name of a folder anywhere."""
    return re.sub(r"[^A-Za-z0-9_.@+-]", "_", name).lstrip(".-") or "notebook"


def _to_vendor_sandbox(session: Session, sandbox: Any, name: str | None) -> Connection:
    locate = VendorSandbox(sandbox)
    place = _place(session, name, locate.sandbox_id)
    return _answering(session, Connection(place, locate, session.settings, session.recorder))


def _to_sandbox(session: Session, sandbox_id: str, name: str | None, resume: bool) -> Connection:
    try:
        sandbox = find_usable(session.control_plane, sandbox_id, resume=resume)
    except (CredentialsError, SandboxGone) as error:
        raise UnknownConnection(
            f"no connection is named {printable(sandbox_id, 60)!r}"
            f"{nearest(sandbox_id, [LOCAL, *session.connections])}\nAnd as a sandbox: {error.message}",
            hint=_by_ssh(sandbox_id)
            + (error.hint or "%hopx_connect shows the connections, %hopx_sandboxes the sandboxes."),
        ) from None
    return _answering(session, _sandbox_connection(session, sandbox, name))


def _by_ssh(word: str) -> str:
    """How one connects to what may be a host that ssh knows; nothing for what can be none."""
    url = f"{SCHEME}{word.removeprefix('ssh:')}"
    try:
        parse_address(url)
    except ValueError:
        return ""
    return f"A machine that ssh leads to is {printable(url, 80)}. "


def _sandbox_connection(session: Session, sandbox: Sandbox, name: str | None) -> Connection:
    control_plane = session.control_plane
    expiry = Expiry(lambda: control_plane.sandbox(sandbox.sandbox_id).expires_at)
    expiry.know(sandbox.expires_at)
    locate = SandboxEndpoint(control_plane, sandbox.sandbox_id)
    place = _place(session, name, sandbox.sandbox_id)
    return Connection(place, locate, session.settings, session.recorder, expiry=expiry)


def _place(session: Session, name: str | None, sandbox_id: str) -> Place:
    return Place(_free_name(session, name or sandbox_id, sandbox_id), sandbox_id, sandbox_id)


def _free_name(session: Session, name: str, agent: str | None) -> str:
    """The name, if it is to be had for that agent, or for one of which more is known later. Raises ValueError."""
    known = session.connections.get(name)
    if name in (LOCAL, "all") or (known is not None and agent is not None and known.place.agent != agent):
        raise ValueError(f"the name {name!r} is taken by another connection")
    return name


def _answering(session: Session, connection: Connection) -> Connection:
    """The connection, once its agent has answered; the one there is of that name goes on with the new endpoint."""
    try:
        connection.listing(tail=0)
    except HopxError:
        connection.close()
        raise
    known = session.connections.get(connection.name)
    if known is None:
        return connection
    known.move(connection)
    return known


# ---------------------------------------------------------------- new sandboxes


def create_sandboxes(
    session: Session,
    template: str,
    count: int,
    *,
    name: str | None,
    timeout: int | None,
    region: str | None,
    env: Mapping[str, str] | None,
    say: Callable[[str], None],
) -> list[Connection]:
    """Creates sandboxes, and the connections to them, as soon as they are ready: see `hopx_magics.create`.

    After Ctrl-C the KeyboardInterrupt says what was created, and so does the hint of any error.
    """
    made: list[Sandbox] = []

    def create(_: int) -> Sandbox:
        sandbox = session.control_plane.create(template, timeout, env, region)
        made.append(sandbox)
        return sandbox

    say(f"creating {count} {'sandbox' if count == 1 else 'sandboxes'} of {template}")
    try:
        with ThreadPoolExecutor(min(count, CREATED_AT_ONCE)) as pool:
            creations = [pool.submit(create, number) for number in range(count)]
        names = [f"{name}-{number}" if name and count > 1 else name for number in range(1, count + 1)]
        sandboxes = [creation.result() for creation in creations]
        connections = [_sandbox_connection(session, *pair) for pair in zip(sandboxes, names, strict=True)]
        transports = [connection.agent.transport for connection in connections]
        wait_for_agents(list(zip(sandboxes, transports, strict=True)), say)
    except KeyboardInterrupt:
        ids = ", ".join(sandbox.sandbox_id for sandbox in made) or "none"
        raise KeyboardInterrupt(f"stopped waiting; created so far: {ids} (%hopx_sandboxes shows them)") from None
    except HopxError as error:
        if made:
            ids = ", ".join(sandbox.sandbox_id for sandbox in made)
            kept = f"Created, and kept: {ids}. %hopx_sandboxes shows them."
            error.hint = f"{kept} {error.hint}" if error.hint else kept
        raise
    return connections
