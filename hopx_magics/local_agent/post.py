"""Posts something to an address and looks at nothing but the status of the reply. Redirects are not followed."""

import asyncio
import ssl
from collections.abc import Mapping
from functools import cache
from urllib.parse import SplitResult, urlsplit

import h11

_OURS = frozenset({"connection", "content-length", "content-type", "expect", "host", "transfer-encoding", "upgrade"})
_LONGEST = 8000


def check_target(url: str, headers: Mapping[str, str]) -> None:
    """Raises ValueError that says what is wrong, if nothing can be posted there with these headers."""
    parts = _split(url)
    if taken := _OURS & {name.strip().lower() for name in headers}:
        raise ValueError(f"the header {min(taken)} can't be chosen")
    if sum(map(len, [*headers, *headers.values()])) > _LONGEST:
        raise ValueError(f"the headers are longer than {_LONGEST:,} characters")
    try:
        _request(parts, headers, 0)
    except (h11.LocalProtocolError, UnicodeError) as error:
        raise ValueError(f"a header can't be sent: {error}") from None


def _split(url: str) -> SplitResult:
    if len(url) > _LONGEST or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("it is no URL: use the form https://HOST/PATH, with other characters than ASCII encoded")
    parts = urlsplit(url)
    _ = parts.port  # raises ValueError
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it is no URL of http or https: use the form https://HOST/PATH")
    if "@" in parts.netloc:
        raise ValueError("a user in the URL is not sent: use a header")
    return parts


async def post_json(url: str, headers: Mapping[str, str], body: bytes) -> int:
    """The status of the reply to that JSON. Has no time limit. Raises OSError, ValueError and h11.ProtocolError."""
    parts = _split(url)
    secure = parts.scheme == "https"
    reader, writer = await asyncio.open_connection(
        parts.hostname,
        parts.port or (443 if secure else 80),
        ssl=_tls() if secure else None,
        happy_eyeballs_delay=0.25,
    )
    connection = h11.Connection(h11.CLIENT)
    try:
        for event in (_request(parts, headers, len(body)), h11.Data(body), h11.EndOfMessage()):
            writer.write(connection.send(event) or b"")
        await writer.drain()
        while not isinstance(answer := connection.next_event(), h11.Response):
            if answer is h11.NEED_DATA:
                connection.receive_data(await reader.read(4096))
    except BaseException:
        writer.transport.abort()  # a receiver that reads nothing would hold up an orderly end
        raise
    writer.close()
    return answer.status_code


def _request(parts: SplitResult, headers: Mapping[str, str], length: int) -> h11.Request:
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    ours = {
        "Host": parts.netloc,
        "Connection": "close",
        "Content-Type": "application/json",
        "Content-Length": str(length),
    }
    return h11.Request(method="POST", target=target, headers=[*ours.items(), *headers.items()])


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
