"""What is asked for, checked: bodies, parameters and headers of requests."""

import re
import sys
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request

from ..notices import EVENTS, check_place
from ..output.conditions import parse_bound
from ..output.halving import parse_keep_best
from ..protocol.requests import DELTA, MOST_AT_ONCE, UNLIMITED, ManyRequest, NotifyRequest
from .answers import Refused
from .family import read_entry
from .resources import Needs

BODY_LIMIT = 32_000_000
"""Bytes that the body of a request may have, unless it goes to the disk while it arrives."""

LONGEST_WAIT = 60.0
"""Seconds for which the reply to a listing is held back, at most."""

LONGEST_NAME = 1000
LONGEST_KEY = 255

_Body = TypeVar("_Body", bound=msgspec.Struct)


class KillBody(msgspec.Struct):
    """Body of a kill request."""

    process_id: str = ""


def too_long() -> Refused:
    """The error for a body over the limit."""
    return Refused(413, "INVALID_REQUEST", f"the body is longer than {BODY_LIMIT:,} bytes")


async def read_body(request: Request) -> bytes:
    """The body of a request, however its length was announced. Raises Refused when it is too long."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise too_long()
    return bytes(body)


def decode_body(body: bytes, kind: type[_Body]) -> _Body:
    """The body as `kind`, which is a struct. Raises Refused that says what is wrong."""
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(400, "INVALID_JSON", f"the body is no JSON: {error}") from None
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        wanted = (field.encode_name for field in msgspec.structs.fields(kind) if field.required)
        missing = next((name for name in wanted if isinstance(content, dict) and name not in content), None)
        raise missing_parameter(missing) if missing else invalid(str(error)) from None


def decode_many(body: bytes) -> list[tuple[bytes, str | None]]:
    """The bodies of many launches as they came, each with its Idempotency-Key. Raises Refused."""
    try:
        wanted = msgspec.json.decode(body, type=ManyRequest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(f"the body is not that of many launches: {error}") from None
    launches, keys = wanted.launches, wanted.idempotency_keys or [""] * len(wanted.launches)
    if len(launches) != len(keys):
        raise invalid(f"{len(launches):,} launches can't have {len(keys):,} idempotency_keys")
    checked_many(len(launches))
    return [(bytes(launch), checked_key(key)) for launch, key in zip(launches, keys, strict=True)]


def checked_many(count: int) -> None:
    """Raises Refused for more than one request may name."""
    if count > MOST_AT_ONCE:
        raise invalid(f"{count:,} are too many for one request: name {MOST_AT_ONCE:,} at most")


def missing_parameter(name: str) -> Refused:
    """The error for a parameter that has to be there."""
    return Refused(400, "MISSING_PARAMETER", f"{name} is required", {"parameter": name})


def invalid(message: str) -> Refused:
    """The error for a value that can't be used."""
    return Refused(400, "INVALID_REQUEST", message)


def checked_timeout(timeout: Any, default: float) -> float | None:
    """Seconds, or None for no limit: that is what 0, null and more than a year mean. Raises Refused."""
    if timeout is msgspec.UNSET:
        return default
    if timeout is None:
        return None
    if timeout < 0:
        raise invalid(f"timeout must be 0 or more seconds, not {timeout:g}")
    return float(timeout) if 0 < timeout < UNLIMITED else None


def checked_env(env: dict[str, str] | None) -> dict[str, str]:
    """The environment. Raises Refused for what no environment can hold."""
    for name, value in (env or {}).items():
        if not name or "=" in name or "\0" in name or "\0" in value:
            raise invalid(f"env: {name[:80]!r} can't be an environment variable with that value")
    return env or {}


def checked_umask(umask: int | None) -> int | None:
    """The umask. Raises Refused for what can't be one."""
    if umask is not None and not 0 <= umask <= 0o777:
        raise invalid(f"umask must be 0 to {0o777}, not {umask}")
    return umask


def checked_keeper(pid: int | None) -> tuple[int, int] | None:
    """The pid and the start of what keeps a fork. Raises Refused where there is no such process."""
    if pid is None:
        return None
    entry = read_entry(pid) if sys.platform == "linux" else None
    if entry is None:
        raise invalid(f"fork must be the pid of a process that keeps one, on Linux, not {pid}")
    return pid, entry.started


def checked_name(name: str | None) -> str | None:
    """The name of a process. Raises Refused for an endless one."""
    if name and len(name) > LONGEST_NAME:
        raise invalid(f"name is longer than {LONGEST_NAME:,} characters")
    return name or None


MOST_BOUNDS = 20
MOST_GIVEN = 100


def checked_bounds(field: str, bounds: list[str] | None) -> tuple[str, ...]:
    """The bounds of metrics. Raises Refused."""
    if bounds and len(bounds) > MOST_BOUNDS:
        raise invalid(f"{field} can be {MOST_BOUNDS} bounds at most")
    try:
        return tuple(parse_bound(bound).text for bound in bounds or ())
    except ValueError as error:
        raise invalid(f"{field}: {error}") from None


def checked_keep_best(rule: str | None, sweep: str | None) -> str | None:
    """Which runs of a sweep are kept at half time. Raises Refused for a rule that can't be used, or without a sweep."""
    if rule is None:
        return None
    if sweep is None:
        raise invalid("keep_best is for a sweep")
    try:
        return parse_keep_best(rule).text
    except ValueError as error:
        raise invalid(f"keep_best: {error}") from None


def checked_notify(notify: NotifyRequest | None) -> NotifyRequest | None:
    """Who is told of what. Raises Refused, which shows no place."""
    if notify is None:
        return None
    if not (0 < len(notify.places) <= MOST_BOUNDS and len(notify.given) <= MOST_GIVEN):
        raise invalid(f"notify needs 1 to {MOST_BOUNDS} places, and {MOST_GIVEN} things given at most")
    if notify.of is not None and notify.of < 1:
        raise invalid(f"notify: of must be 1 or more, not {notify.of}")
    bounds = [event for event in notify.when if event not in EVENTS]
    checked = dict(zip(bounds, checked_bounds("notify", bounds), strict=True))
    try:
        for place in notify.places:
            check_place(place)
    except ValueError as error:
        raise invalid(f"notify: {error}") from None
    return msgspec.structs.replace(notify, when=tuple(checked.get(event, event) for event in notify.when))


_SWEEP = re.compile("[A-Za-z0-9_-]{1,64}")


def checked_sweep(sweep: str | None, limit: int | None) -> tuple[str | None, int | None]:
    """The id of the launch's sweep, and how many of that may run at once. Raises Refused."""
    if sweep is not None and not _SWEEP.fullmatch(sweep):
        raise invalid(f"sweep must be 1 to 64 of the characters A-Z a-z 0-9 _ -, not {sweep[:80]!r}")
    if limit is not None and sweep is None:
        raise invalid("sweep_limit is the limit of a sweep: sweep must say of which one")
    if limit is not None and limit < 1:
        raise invalid(f"sweep_limit must be 1 or more, not {limit}")
    return sweep, limit


def checked_count(name: str, count: int) -> int | None:
    """How many of something, None for 0, which stands for what is usual. Raises Refused for less."""
    if count < 0:
        raise invalid(f"{name} must be 0 or more, not {count}")
    return count or None


def checked_delay(seconds: float) -> float:
    """Seconds until something is tried again. Raises Refused."""
    if not 0 <= seconds <= UNLIMITED:
        raise invalid(f"retry_delay must be 0 to {UNLIMITED:,} seconds, not {seconds:g}")
    return seconds


_MOST = 2**62


def checked_needs(gpus: float, cpus: float, memory: int) -> Needs:
    """What a process needs. Raises Refused for what can't be handed out."""
    for name, count in (("gpus", gpus), ("cpus", cpus), ("memory", memory)):
        if not 0 <= count < _MOST:
            raise invalid(f"{name} must be 0 or more, not {count:g}")
    if gpus > 1 and gpus != round(gpus):
        raise invalid(f"gpus must be a whole number, or a part of one, not {gpus:g}")
    return Needs(gpus, cpus, memory)


def idempotency_key(request: Request) -> str | None:
    """The launch's key. Raises Refused for an endless one."""
    return checked_key(request.headers.get("idempotency-key", ""))


def checked_key(key: str) -> str | None:
    """An Idempotency-Key; None for an empty one. Raises Refused for an endless one."""
    if len(key) > LONGEST_KEY:
        raise invalid(f"Idempotency-Key is longer than {LONGEST_KEY} characters")
    return key or None


def tail_limit(request: Request) -> int | None:
    """The bytes of each stream that a listing shall have, or None for all. Raises Refused."""
    text = request.query_params.get("tail")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise invalid(f"tail must be a number of bytes, not {text[:80]!r}")
    return int(text)


_WAIT = re.compile(r'(?:^|[,;])\s*wait\s*=\s*"?(\d{1,9}(?:\.\d{1,9})?)"?\s*(?:$|[,;])', re.IGNORECASE)


def preferred_wait(request: Request) -> float:
    """The seconds for which the client wants to wait for a change; 0 when it doesn't."""
    match = _WAIT.search(request.headers.get("prefer", ""))
    return min(float(match[1]), LONGEST_WAIT) if match else 0.0


def known_etags(request: Request) -> list[str]:
    """The versions that the client has already, without the marks of weak ones."""
    return [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]


def matches(request: Request, etag: str) -> bool:
    """Whether the client has that version already."""
    known = known_etags(request)
    return "*" in known or etag.removeprefix("W/") in known


_NOT_WANTED = re.compile(r"\s*q\s*=\s*0(\.0*)?\s*", re.IGNORECASE)


def wants_delta(request: Request) -> bool:
    """Whether the client would rather have what differs from a version that it has."""
    for wanted in request.headers.get("a-im", "").split(","):
        name, *parameters = wanted.split(";")
        if name.strip().lower() == DELTA:
            return not any(_NOT_WANTED.fullmatch(parameter) for parameter in parameters)
    return False
