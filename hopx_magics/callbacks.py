"""Callbacks, by which an agent tells how a process ended: how they are signed, and how a receiver verifies that. Pure.

A callback is a POST with a JSON object. Where its launch named a secret, it has two headers: `X-HopX-Timestamp`, the
Unix time in seconds at which it was sent, and `X-HopX-Signature`, `sha256=` with the HMAC-SHA256 in hexadecimal digits.
"""

import hmac
import re
import time
from collections.abc import Mapping

SIGNATURE_HEADER = "X-HopX-Signature"
TIMESTAMP_HEADER = "X-HopX-Timestamp"

_TIMESTAMP = re.compile("[0-9]{1,12}")


def signature(body: bytes, timestamp: int, secret: str) -> str:
    """What the local agent sends as the signature of `body`: that of the timestamp, a dot and the body."""
    return _signed(b"%d.%b" % (timestamp, body), secret)


def verify_callback(body: bytes, headers: Mapping[str, str], secret: str, *, max_age: float = 300.0) -> bool:
    """Whether a callback was sent by someone who knows `secret`, and not more than `max_age` seconds ago.

    `body` must be the bytes as they arrived. `headers` may be spelled in any case. False also for a timestamp that is
    missing, or more than `max_age` seconds ahead of this machine's clock; with `max_age=math.inf` it may be anything.

    The sources on the agent API don't agree on what is signed. So the signature may be that of the body alone, of the
    timestamp with the body behind it, or of both with a dot in between, as the local agent does it. In the first case
    nobody vouches for the timestamp: someone who recorded a callback can send it again. Callbacks may arrive twice
    anyway, so let a receiver act once for each `execution_id`.

    Raises ValueError for an empty secret, which anyone knows, and for a `max_age` that is no number of 0 or more.
    """
    if not secret:
        raise ValueError("secret is empty: use the one that the launch was given")
    if not max_age >= 0:
        raise ValueError(f"max_age must be 0 or more seconds, not {max_age}")
    sent, timestamp = _header(headers, SIGNATURE_HEADER), _header(headers, TIMESTAMP_HEADER)
    if not _is_recent(timestamp, max_age):
        return False
    # What is signed as "TIMESTAMP.{...}" must not pass for the body of another callback.
    if not body.lstrip().startswith(b"{"):
        return False
    stamp = timestamp.encode("utf-8", "surrogateescape")
    accepted = [_signed(signed, secret).encode() for signed in (body, stamp + body, stamp + b"." + body)]
    given = sent.strip().lower().encode("utf-8", "surrogateescape")
    matches = [hmac.compare_digest(given, one) for one in accepted]  # all three, so that the time tells nothing
    return True in matches


def _signed(content: bytes, secret: str) -> str:
    return f"sha256={hmac.new(secret.encode(), content, 'sha256').hexdigest()}"


def _header(headers: Mapping[str, str], name: str) -> str:
    """The header's value; empty when it is missing, or there more than once."""
    values = [value for key, value in headers.items() if key.lower() == name.lower()]
    return values[0] if len(values) == 1 else ""


def _is_recent(timestamp: str, max_age: float) -> bool:
    if not _TIMESTAMP.fullmatch(timestamp):
        return max_age == float("inf")
    return abs(time.time() - int(timestamp)) <= max_age
