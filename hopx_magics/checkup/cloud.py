"""HopX's control plane: whether there is an account, the way there, and its answer."""

import time
from collections.abc import Iterator
from pathlib import Path

from ..errors import HopxError
from ..findings import Finding, broken, ok
from ..session.session import Session
from .network import look_at_host

_UNREACHABLE = "No sandbox can be found, created, or asked for its token."


def is_in_use(session: Session) -> bool:
    """Whether there is an account or a sandbox at all: nobody else has to be able to reach HopX."""
    left_by_tools = [Path.home() / ".hopx" / name for name in ("config.yaml", "credentials.yaml")]
    return (
        any(connection.place.sandbox for connection in list(session.connections.values()))
        or session.has_api_key
        or any(file.exists() for file in left_by_tools)
    )


def look_at_control_plane(session: Session) -> Iterator[Finding]:
    """Each step to the control plane, until one fails, and what it answers."""
    for step in look_at_host(session.settings.base_url, _UNREACHABLE):
        yield step
        if step.state == "broken":
            return
    yield _answer(session)


def _answer(session: Session) -> Finding:
    begun = time.monotonic()
    try:
        count = len(session.control_plane.sandboxes())
    except (HopxError, ValueError) as error:
        return broken("answers", getattr(error, "message", str(error)), _UNREACHABLE, getattr(error, "hint", None))
    sandboxes = f"{count} {'sandbox' if count == 1 else 'sandboxes'}"
    return ok("answers", f"after {(time.monotonic() - begun) * 1000:,.0f} ms, with {sandboxes} of this key")
