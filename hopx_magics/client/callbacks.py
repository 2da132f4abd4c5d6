"""Launches whose end the agent tells by itself."""

from urllib.parse import urlsplit

from .. import protocol
from ..errors import AgentRefused, NotSupported
from ..models import Callback, Launch
from .agent import Agent


def checked_callback(url: str, headers: dict[str, str] | None = None, secret: str | None = None) -> Callback:
    """A callback to that URL. Raises ValueError when it is none of http or https."""
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_url = False
    if not is_url:
        raise ValueError(f"{url!r} can't be called: use a URL of the form https://HOST/PATH")
    return Callback(url=url, headers=headers or {}, secret=secret)


def launch_with_callback(agent: Agent, launch: Launch, callback: Callback) -> protocol.Launched:
    """Launches once, like `Agent.launch`, and lets the agent tell the end to `callback`.

    Raises as that does; NotSupported when the agent knows no callbacks, and then nothing was launched.
    """
    endpoint = f"POST {protocol.EXECUTE_ASYNC}"
    try:
        return agent.launch(launch, path=protocol.EXECUTE_ASYNC, body=protocol.async_body(launch, callback))
    except AgentRefused as error:
        if error.status not in (404, 405):
            raise
    except NotSupported:
        pass
    raise NotSupported(
        f"this agent does not support {endpoint}; nothing was launched",
        agent=agent.label,
        hint="Launch without a callback, and wait for the end or watch it here. The local agent has callbacks.",
    )
