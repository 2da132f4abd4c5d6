"""The list of all checks."""

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ..client.local import LocalAgent
from ..client.ssh import SCHEME, parse_address
from ..client.transport import checked_url
from ..client.tunnel import Way
from ..connection.connection import Connection
from ..connection.local import LOCAL
from ..connection.ray import RayConnection
from ..connection.ssh import SshConnection
from ..findings import Check
from ..session.session import Session
from .agents import NOT_ANSWERING, look_at_agent
from .cloud import is_in_use, look_at_control_plane
from .history import look_at_history
from .local_agent import look_at_local_agent
from .network import look_at_host
from .page import Front, look_at_page
from .program import look_at_program
from .ray import look_at_cluster
from .ssh import look_at_way
from .variables import look_at_variables

if TYPE_CHECKING:
    from ..live.mender import Mender


def checks_of_program(front: Front, find_mender: Callable[[float], "Mender | None"]) -> list[Check]:
    """Those that need no session: they can be made whatever the settings are."""
    has_kernel = front in ("page", "job")
    return [
        Check("program", "versions", partial(look_at_program, has_kernel=has_kernel)),
        Check("environment", "variables", partial(look_at_variables, dict(os.environ))),
        Check("page", "widgets", partial(look_at_page, front, find_mender)),
    ]


def checks_of_session(session: Session) -> list[Check]:
    """All that this program has: the history, the local agent, its connections, and the way to HopX."""
    local = session.connection(LOCAL)
    others = [each for each in list(session.connections.values()) if each is not local]
    return [
        Check("history", "file", partial(look_at_history, session.history, session.recorder)),
        *(check for connection in (local, *others) for check in checks_of(connection, session)),
        *([Check("HopX", "answers", partial(look_at_control_plane, session))] if is_in_use(session) else []),
    ]


def checks_of_target(session: Session, target: str) -> list[Check]:
    """Those of the connection of that name, or of the way to an address that nothing may be connected to.

    Raises UnknownConnection, ValueError for what is no address, InsecureConnection.
    """
    if target.startswith(SCHEME):
        way = Way(parse_address(target), session.settings.ssh, "doctor")
        return [Check(way.address.url, "ssh", partial(look_at_way, way))]
    if "://" in target:
        url = checked_url(target)
        return [Check(url, "connection", partial(look_at_host, url, NOT_ANSWERING))]
    return checks_of(session.connection(target), session)


def checks_of(connection: Connection, session: Session) -> list[Check]:
    """Those of one connection."""
    if connection.name == LOCAL:
        return [Check("local agent", "answers", partial(look_at_local_agent, connection, session.settings))]
    about = f"connection {connection.name}"
    if isinstance(connection, RayConnection):
        return [Check(about, "answers", partial(look_at_cluster, connection))]
    found = [Check(about, "answers", partial(look_at_agent, connection))]
    if isinstance(connection, SshConnection):
        found.append(Check(about, "ssh", partial(look_at_way, connection.way, (connection.folder, connection.workdir))))
    return found


def known_secrets(session: Session) -> list[str]:
    """What must not be told: the tokens that this program knows."""
    left = LocalAgent(session.settings).left()
    endpoints = [each.agent.transport.endpoint for each in list(session.connections.values())]
    tokens = [endpoint.token for endpoint in endpoints if endpoint]
    return [token for token in (*tokens, left.token if left else None) if token]
