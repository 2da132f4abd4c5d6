"""One HTTP client for one agent: token, time limits, size limits, retries, and every failure as one of our errors."""

import ipaddress
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Literal
from urllib.parse import urlsplit

import httpx
import msgspec

from ..errors import (
    AgentError,
    AgentRefused,
    AgentUnreachable,
    BadReply,
    ControlPlaneError,
    InsecureConnection,
    Unauthorized,
)
from ..output.oneline import printable
from ..protocol.replies import decode_error
from .encoding import decoded
from .network import ReplyTime, new_http, reply_within

CONNECT_TIMEOUT = 5.0

TRICKLE = 4
"""A body that still trickles in after so many times the time limit is given up."""

RENEWAL_PAUSE = 30.0
"""Seconds until an endpoint is tried again to be renewed, when it could not be and still holds."""

_RETRY_STATUSES = frozenset({429, 502, 503, 504})

_HINTS = {
    403: "The agent's policy forbids it, or the token belongs to someone else.",
    404: "Is this the address of an agent?",
    429: "Too many requests: wait a little, then try again.",
    507: "Make room there; what runs goes on.",
    503: "The agent may still be starting: try again in some seconds.",
}


class Endpoint(msgspec.Struct, frozen=True):
    """Where an agent is, and the token for it.

    `headers` are sent, too, for what stands before it. A token that is wrong is answered with 401, or 403 where it
    `refuses_by_403`. `socket` is the Unix socket in a private folder through which
    the agent is reached, if it is, and by nothing else.
    From `renew_at` on, by `time.monotonic`, it is located anew before it is used; None: only when it is of no use any
    more. Errors tell `shown` in place of the URL, if it is given, and call the token what `called` says; `when_refused`
    is what to try when it isn't accepted, and `when_silent` what to try when no answer comes. The token is good until
    `expires_at`, as far as that is known.
    """

    url: str
    token: str | None = None
    scheme: Literal["Bearer", "X-API-Key"] = "Bearer"
    headers: Mapping[str, str] = {}
    refuses_by_403: bool = False
    socket: str | None = None
    renew_at: float | None = None
    shown: str | None = None
    expires_at: datetime | None = None
    called: str = "token"
    when_refused: str = "Connect again with a valid token: set HOPX_AGENT_TOKEN, or use --token-env VAR."
    when_silent: str = "Try again later."

    def __repr__(self) -> str:
        return f"Endpoint({self.url!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:  # msgspec's own would show the token
        return [("url", self.url)]

    @property
    def authorization(self) -> dict[str, str]:
        """The header that carries the token, beside those that are sent, too."""
        if self.token is None:
            return {**self.headers}
        if self.scheme == "X-API-Key":
            return {**self.headers, "X-API-Key": self.token}
        return {**self.headers, "Authorization": f"Bearer {self.token}"}


class Stream(msgspec.Struct, frozen=True):
    """A body that is made while it is sent, of `length` bytes: `begin` makes it, anew for each try."""

    content_type: str
    length: int
    begin: Callable[[], Generator[bytes]]


class Request(msgspec.Struct, frozen=True):
    """What to ask, with JSON or a stream as `content`.

    `patience` is how many seconds the agent is asked to hold the request before it answers, and `limit` how many it has
    to answer beside those, if not as many as for everything else.
    """

    method: str
    path: str
    params: Mapping[str, str] | None = None
    headers: Mapping[str, str] = {}
    content: bytes | Stream | None = None
    patience: float = 0.0
    limit: float | None = None


class Reply(msgspec.Struct, frozen=True):
    """An answer with a status below 300, or 304 or 416."""

    status: int
    headers: Mapping[str, str]
    body: bytearray


Receive = Callable[[Mapping[str, str], Iterator[bytes]], None]
"""Takes the body of a reply with a status below 300, given its headers, piece by piece. Called anew for each try."""

Locate = Callable[[httpx.Client], Endpoint]
"""Finds where the agent is now. Asked again when the agent is gone from where it was."""


class Transport:
    """Requests to one agent, or what else `kind` says. Safe to use from several threads.

    `timeout` is the time in seconds without an answer after which an agent counts as hanging, `retry_time` the seconds
    within which a read is tried again, and `max_reply` the size in bytes, decompressed, of the largest reply. Errors
    tell the address, unless `is_here`: that of this machine's own agent helps nobody.
    """

    def __init__(
        self,
        name: str,
        locate: Locate,
        *,
        timeout: float,
        retry_time: float,
        max_reply: int,
        kind: str = "agent",
        is_here: bool = False,
    ) -> None:
        self.name = name
        self._kind = kind
        self._is_here = is_here
        self._locate = locate
        self._timeout = timeout
        self._retry_time = retry_time
        self._max_reply = max_reply
        self._endpoint: Endpoint | None = None
        self._lock = threading.Lock()
        self._sockets: dict[str, str] = {}
        self._http = _new_client(self._sockets)

    @property
    def label(self) -> str:
        """The agent as errors name it."""
        known = None if self._is_here else self._endpoint
        return f"{self._kind} {self.name!r}{f' at {known.shown or known.url}' if known else ''}"

    @property
    def endpoint(self) -> Endpoint | None:
        """Where the agent was when it was last asked."""
        return self._endpoint

    def move(self, locate: Locate) -> None:
        """Looks for the agent elsewhere from now on."""
        with self._lock:
            self._locate, self._endpoint = locate, None

    def drop_connections(self) -> None:
        """Begins with new connections; requests under way in other threads end with an error."""
        with self._lock:
            old, self._http = self._http, _new_client(self._sockets)
        old.close()

    def close(self) -> None:
        """Closes all connections; a request under way in another thread ends with an error."""
        self._http.close()

    def read(self, request: Request, receive: Receive | None = None) -> Reply:
        """Sends a request that only reads; again for a while if the agent doesn't answer or asks to come back later.

        The body of a good reply goes to `receive`, whatever its size, instead of being a part of what is returned.
        """
        patience = Patience(self._retry_time if request.limit is None else min(self._retry_time, request.limit))
        while True:
            try:
                return self.send(request, receive)
            except (AgentUnreachable, AgentRefused) as error:
                patience.wait_after(error)

    def patience(self) -> "Patience":
        """For how long a request may be sent again, from now on."""
        return Patience(self._retry_time)

    def send(self, request: Request, receive: Receive | None = None) -> Reply:
        """Sends a request once; anew only if the agent has moved and certainly never saw it."""
        endpoint = self._located()
        try:
            return self._exchange(endpoint, request, receive)
        except (AgentUnreachable, Unauthorized) as error:
            if isinstance(error, AgentUnreachable) and error.sent:
                raise
            moved = self._located(after=endpoint)
            if moved == endpoint:
                raise
        return self._exchange(moved, request, receive)

    def _located(self, after: Endpoint | None = None) -> Endpoint:
        """The agent's present place; looked for anew when it is still the one `after` which the caller asks."""
        with self._lock:
            known = self._endpoint
            if known is None or known is after:
                self._endpoint = known = self._locate(self._http)
            elif known.renew_at is not None and time.monotonic() >= known.renew_at:
                self._endpoint = known = self._renewed(known)
            return known

    def _renewed(self, known: Endpoint) -> Endpoint:
        try:
            return self._locate(self._http)
        except ControlPlaneError:  # renewed ahead of time: what is known still holds
            return msgspec.structs.replace(known, renew_at=time.monotonic() + RENEWAL_PAUSE)

    def _time_for(self, request: Request) -> float:
        return self._timeout if request.limit is None else min(request.limit, self._timeout)

    def _exchange(self, endpoint: Endpoint, request: Request, receive: Receive | None) -> Reply:
        limit = self._time_for(request) + request.patience
        if endpoint.socket is not None:
            self._sockets[urlsplit(endpoint.url).netloc] = endpoint.socket
        with (
            self._translated_errors(endpoint, limit),
            _begun(request.content) as (headers, content),
            reply_within(limit) as time_left,
        ):
            outgoing = self._http.build_request(
                request.method,
                endpoint.url + request.path,
                params=request.params,
                headers={**request.headers, **headers},
                content=content,
                timeout=httpx.Timeout(limit, connect=min(CONNECT_TIMEOUT, self._timeout)),
                extensions={"trace": time_left.trace},
            )
            outgoing.headers.update(endpoint.authorization)  # in no variable, which some tracebacks show
            response = self._http.send(outgoing, stream=True)
            time_left.allow(TRICKLE * self._timeout)
            try:
                body = self._read_body(response, receive, time_left)
            finally:
                response.close()
        if response.status_code < 300 or response.status_code in (304, 416):
            return Reply(response.status_code, response.headers, body)
        raise self._refusal(endpoint, response, body)

    def _read_body(self, response: httpx.Response, receive: Receive | None, time_left: ReplyTime) -> bytearray:
        body = bytearray()  # one buffer: pieces to be joined would take the room, and the time, of a large body twice
        try:
            chunks = decoded(response)
            if receive is not None and response.status_code < 300:
                receive(response.headers, _renewing(time_left, chunks))
                return body
            for chunk in chunks:
                body += chunk
                if len(body) > self._max_reply:
                    raise self._too_large()
        except httpx.TimeoutException:
            if time_left.left > 0:
                raise
            reason = f"its reply was not complete after {TRICKLE * self._timeout:.0f} s"
            raise AgentUnreachable(reason, agent=self.label, sent=True) from None
        except httpx.DecodingError:
            if response.status_code < 300:
                raise
        return body

    def _too_large(self) -> BadReply:
        return BadReply(
            f"its reply is larger than {self._max_reply / 1e6:,.0f} MB",
            agent=self.label,
            hint="Ask for less output (%hopx_ps --output tail, %hopx_logs --tail N) or set HOPX_MAX_REPLY_MB.",
        )

    def _refusal(self, endpoint: Endpoint, response: httpx.Response, body: bytearray) -> AgentError:
        status = response.status_code
        if status < 400:
            target = printable(self._redacted(endpoint, response.headers.get("location", "an unnamed place")))
            return AgentRefused(
                f"it redirects to {target} (status {status}), which is not followed",
                agent=self.label,
                status=status,
                hint="Connect to the agent's final address.",
            )
        if endpoint.token:  # before the text is cut, which could leave a part of the token
            body = body.replace(endpoint.token.encode(), b"[token]")
        said = decode_error(body, response.headers)
        message = self._redacted(endpoint, f"{said.message or response.reason_phrase} (status {status})")
        kind, hint = AgentRefused, _HINTS.get(status)
        if status == 401 or (status == 403 and endpoint.refuses_by_403):
            complaint = f"the {endpoint.called} was not accepted" if endpoint.token else "it wants a token"
            kind, message, hint = Unauthorized, f"{complaint}: {message}", endpoint.when_refused
        return kind(message, agent=self.label, status=status, code=said.code, retry_after=said.retry_after, hint=hint)

    def redacted(self, body: bytearray) -> bytearray:
        """A body without the token, should the agent repeat it."""
        token = self._endpoint.token if self._endpoint else None
        return body.replace(token.encode(), b"[token]") if token else body

    def _redacted(self, endpoint: Endpoint, text: str) -> str:
        return text.replace(endpoint.token, "[token]") if endpoint.token else text

    @contextmanager
    def _translated_errors(self, endpoint: Endpoint, limit: float) -> Iterator[None]:
        """Turns every error of httpx into one of ours."""
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            reason = "no connection within the time limit" if isinstance(error, httpx.TimeoutException) else str(error)
            raise AgentUnreachable(
                f"can't be reached: {printable(reason)}",
                agent=self.label,
                sent=False,
                hint="Is it running, and is the address right? %hopx_connect shows the connections.",
            ) from None
        except httpx.TimeoutException:
            raise AgentUnreachable(
                f"did not answer within {limit:.3g} s", agent=self.label, sent=True, hint=endpoint.when_silent
            ) from None
        except (httpx.DecodingError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise BadReply(printable(self._redacted(endpoint, str(error))), agent=self.label) from None
        except (httpx.HTTPError, RuntimeError) as error:  # RuntimeError: the client was closed by another thread
            raise AgentUnreachable(
                f"the connection broke: {printable(self._redacted(endpoint, str(error)))}",
                agent=self.label,
                sent=True,
                hint="Try again; what was launched goes on.",
            ) from None


def _renewing(time_left: ReplyTime, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces of a body of any size, each of which has the whole time."""
    for chunk in chunks:
        yield chunk
        time_left.restart()


class Patience:
    """How long a request that may be repeated is sent again, for so many seconds, with growing pauses."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._pause = 0.1

    def wait_after(self, error: AgentUnreachable | AgentRefused) -> None:
        """Waits until it is time to try again. Raises `error` when that is no use, or when the time is over."""
        wait = self._pause
        if isinstance(error, AgentRefused):
            if error.status not in _RETRY_STATUSES:
                raise error
            wait = max(wait, error.retry_after or 0.0)
        if time.monotonic() + wait > self._deadline:
            raise error
        time.sleep(wait)
        self._pause = min(2 * self._pause, 2.0)


@contextmanager
def _begun(content: bytes | Stream | None) -> Iterator[tuple[dict[str, str], bytes | Iterator[bytes] | None]]:
    """The headers that tell of a body, and the body."""
    if isinstance(content, Stream):
        with closing(content.begin()) as chunks:
            yield {"Content-Type": content.content_type, "Content-Length": str(content.length)}, chunks
    else:
        yield {} if content is None else {"Content-Type": "application/json"}, content


def _new_client(sockets: Mapping[str, str]) -> httpx.Client:
    # Dropped before an agent would do it (uvicorn: 5 s), or a launch could meet a closed connection.
    limits = httpx.Limits(max_connections=32, max_keepalive_connections=8, keepalive_expiry=3.0)
    return new_http(limits, sockets)


def checked_url(url: str) -> str:
    """`url` in the form in which requests use it.

    Raises ValueError for what is no http(s) URL, and InsecureConnection for http to a machine other than this one.
    """
    text = well_formed_url(url)
    parts = urlsplit(text)
    host = parts.hostname or ""
    if parts.scheme == "http" and not is_loopback(host):
        raise InsecureConnection(
            f"http://{printable(host, 100)} is not on this machine: the token would travel unencrypted",
            hint=f"Use https://{printable(parts.netloc, 100)}.",
        )
    return text


def well_formed_url(url: str) -> str:
    """`url` in the form in which requests use it, wherever it leads. Raises ValueError for what is no http(s) URL."""
    text = url.strip().rstrip("/")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{text!r} is not a URL: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"{url!r} is not a URL: use the form https://HOST")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("a connection's URL has no user, query or fragment: use the form https://HOST")
    return text


def is_loopback(host: str) -> bool:
    """Whether `host` certainly is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
