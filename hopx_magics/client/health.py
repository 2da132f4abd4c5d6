"""How an agent is: how fast it answers, what it says of itself, and how far its clock is from ours."""

import base64
import binascii
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from ..errors import AgentError
from ..models import Listing
from ..protocol.fields import Body
from ..protocol.listing import decode_listing
from ..protocol.replies import read_json
from ..protocol.requests import HEALTH, INFO, PROCESSES
from .transport import Endpoint, Request, Transport


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """An agent's answer: after how many `seconds`, and by how many its clock is ahead of ours, if it tells the time."""

    seconds: float
    ahead: float | None


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent says of itself; None what it doesn't say, or not in this way."""

    agent: str | None = None
    agent_version: str | None = None
    pid: int | None = None
    uptime: str | None = None


def answered(transport: Transport, limit: float, path: str = HEALTH) -> Answered:
    """How an agent answers, once and within so many seconds. Raises HopxError."""
    at, begun = time.time(), time.monotonic()
    headers = transport.send(Request("GET", path, limit=limit)).headers
    seconds = time.monotonic() - begun
    return Answered(seconds=seconds, ahead=_ahead(headers.get("date", ""), at + seconds / 2))


def asked(transport: Transport, path: str, limit: float) -> Body:
    """What an agent answers, asked once. Raises HopxError."""
    return transport.send(Request("GET", path, limit=limit)).body


def _ahead(date: str, now: float) -> float | None:
    """By how much a moment that is told in whole seconds is certainly not the present one; else 0."""
    try:
        told = parsedate_to_datetime(date).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
    return told - now if now < told else max(0.0, now - (told + 1)) * -1


def about(transport: Transport, limit: float) -> About:
    """What an agent says of itself. Raises HopxError, but for an agent that says nothing or something else."""
    try:
        told: Any = read_json(transport.send(Request("GET", INFO, limit=limit)).body, agent=transport.label)
        return msgspec.convert(told, About)
    except (AgentError, msgspec.ValidationError):
        return About()


def listed(transport: Transport, limit: float) -> Listing:
    """What an agent lists, without output, asked once; nobody takes note of it. Raises HopxError."""
    reply = transport.send(Request("GET", PROCESSES, {"tail": "0"}, limit=limit))
    return decode_listing(reply.body, agent=transport.label, received_at=datetime.now(UTC), tail=0)


def token_expires_at(endpoint: Endpoint) -> datetime | None:
    """Until when the token is good, as far as anybody says it: who gave it, or a JSON Web Token itself."""
    if endpoint.expires_at is not None or endpoint.token is None:
        return endpoint.expires_at
    parts = endpoint.token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return datetime.fromtimestamp(claims["exp"], UTC)
    except (binascii.Error, msgspec.MsgspecError, LookupError, TypeError, ValueError, OverflowError, OSError):
        return None
