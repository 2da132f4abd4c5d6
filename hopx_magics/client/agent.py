"""One agent: launch, list, output, kill. Finds out what the agent can do from its answers."""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import quote

import msgspec

from ..errors import AgentError, AgentRefused, AgentUnreachable, BadReply, HopxError, NotSupported
from ..models import Change, Launch, Listing, ProcessId, QueueState
from ..protocol import requests as wire
from ..protocol.changes import can_be_base, decode_change
from ..protocol.fields import read_etag
from ..protocol.listing import decode_listing
from ..protocol.replies import (
    Launched,
    check_kill_reply,
    decode_kills,
    decode_launched,
    decode_many,
    decode_queue,
    decode_turns,
    read_json,
)
from ..words import PauseResult, Stream
from . import lost_replies
from .transport import Endpoint, Reply, Request, Transport

CHUNK = 8_000_000
"""Bytes of output fetched with one request."""

MOST_PIECES = 1_000
"""Replies in which an agent may send what was asked for with one request."""

_ONLY_OURS = "Our own agents can do that: %hopx_connect local, or ssh://HOST."


class OutputPart(msgspec.Struct, frozen=True):
    """Bytes of a stream from `start` on; `size` is how many the whole stream had by then.

    The agent has not kept what is in `gap`, which begins and ends with those bytes; zeros stand for it.
    """

    data: bytes
    start: int
    size: int
    gap: tuple[int, int] | None = None

    @property
    def end(self) -> int:
        """Where the stream goes on: behind the gap, when the bytes end in it."""
        end = self.start + len(self.data)
        return self.gap[1] if self.gap and self.gap[0] <= end < self.gap[1] else end

    @property
    def kept(self) -> bytes:
        """The bytes without those of the gap."""
        if self.gap is None:
            return self.data
        begin, end = (max(0, place - self.start) for place in self.gap)
        return self.data[:begin] + self.data[end:]


class Agent:
    """One agent, through its transport. Safe to use from several threads.

    `launches_once` tells of an agent that a launch can be sent to again, since it launches once per Idempotency-Key;
    `listing_time` are the seconds that it has to answer with its listing, if not as many as for everything else.
    """

    def __init__(self, transport: Transport, *, launches_once: bool = False, listing_time: float | None = None) -> None:
        self.transport = transport
        self._launches_once = launches_once
        self._listing_time = listing_time
        self.waits = False
        """Whether the agent held the last request for a change until there was one, or would have."""
        self._tells_changes = True
        self._serves_output: bool | None = None
        self._kill_form = 0
        self._features: tuple[Endpoint | None, frozenset[str]] | None = None

    @property
    def label(self) -> str:
        """The agent as errors name it."""
        return self.transport.label

    def close(self) -> None:
        """Closes the connections to the agent, which itself goes on."""
        self.transport.close()

    def listing(self, *, tail: int | None = None, known: Listing | None = None) -> Listing:
        """The listing as it is now, each stream cut to its last `tail` bytes if the agent can do that.

        The one that is `known`, if the agent says that it still holds.
        """
        etag = known.etag if known is not None and known.tail == tail else None
        reply = self.transport.read(self._listing_request(tail, {"If-None-Match": etag} if etag else {}))
        return known if known is not None and etag and reply.status == 304 else self._decoded(reply, tail)

    def change_since(self, known: Listing | None, *, tail: int | None = None, wait: float = 0.0) -> Change | Listing:
        """In what the listing of now differs from the one that is `known`, or the whole, where the agent tells that.

        Where nothing differs, that is answered after `wait` seconds if the agent can wait, with the listing that is
        known. Only what differs is fetched if the agent can tell it and `known` was asked for with the same `tail`.

        A difference that makes no sense is answered by asking for the whole, now and from then on. Raises AgentError.
        """
        headers = {"Prefer": f"wait={wait:g}"} if wait else {}  # with the first request already, to learn if it can
        base = known if known is not None and known.tail == tail else None  # an ETag says nothing of another address
        if base is not None and base.etag is not None:
            headers["If-None-Match"] = base.etag
            if self._tells_changes and can_be_base(base):
                headers["A-IM"] = wire.DELTA
        reply = self.transport.read(self._listing_request(tail, headers, wait if "If-None-Match" in headers else 0.0))
        if wait:
            self.waits = "wait" in reply.headers.get("preference-applied", "")
        if base is not None and reply.status == 304 and "If-None-Match" in headers:
            return Change(base, ())
        if base is not None and reply.status == 226 and "A-IM" in headers:
            try:
                return decode_change(reply.body, reply.headers, base, received_at=datetime.now(UTC))
            except AgentError:
                self._tells_changes = False
                return self.listing(tail=tail)
        return self._decoded(reply, tail)

    def _listing_request(self, tail: int | None, headers: Mapping[str, str], patience: float = 0.0) -> Request:
        path = wire.PROCESSES if tail is None else f"{wire.PROCESSES}?tail={tail}"
        return Request("GET", path, headers=headers, patience=patience, limit=self._listing_time)

    def _decoded(self, reply: Reply, tail: int | None) -> Listing:
        if reply.status in (206, 226, 304):
            raise BadReply(f"it answered with a part of its listing (status {reply.status})", agent=self.label)
        return decode_listing(
            reply.body,
            agent=self.label,
            received_at=datetime.now(UTC),
            etag=read_etag(reply.headers.get("etag")),
            tail=tail,
        )

    # ------------------------------------------------------------ launch

    def launch(self, launch: Launch) -> Launched:
        """Launches once. After a lost reply the listing is searched for the launch's mark, never launched blindly.

        Raises LaunchError when nothing was launched, or when that can't be found out; NotSupported for a callback where
        the agent has none, and then nothing was launched; the agent's own refusal as it is.
        """
        request = _launch_request(launch)
        try:
            reply = self._send_launch(request)
            return decode_launched(reply.body, agent=self.label, endpoint=f"POST {request.path}")
        except AgentError as error:
            if lost_replies.may_have_launched(error):
                (found,) = lost_replies.find_all(self, [launch], error)
                if isinstance(found, HopxError):
                    raise found from None
                return found
            if no_callbacks := _no_callbacks(launch, error):
                raise no_callbacks from None
            raise

    def _send_launch(self, request: Request) -> Reply:
        try:
            return self.transport.send(request)
        except AgentUnreachable as error:
            if not self._launches_once:
                raise
            was_sent, patience = error.sent, self.transport.patience()
        while True:
            self.transport.drop_connections()  # if the agent died, none of them is good any more
            try:
                return self.transport.send(request)
            except AgentUnreachable as error:
                error.sent = was_sent = was_sent or error.sent
                patience.wait_after(error)

    def launch_many(self, launches: Sequence[Launch]) -> Sequence[Launched | HopxError]:
        """Launches one after the other, each once, until one can't be; what became of each so far, as of `launch`.

        With one request, where there are several and the agent knows that.
        """
        try:
            answers = self._launch_together(launches) if len(launches) > 1 and wire.MANY in self.features() else None
            return answers or self._launch_singly(launches)
        except HopxError as error:
            return [error]

    def _launch_singly(self, launches: Sequence[Launch]) -> Sequence[Launched | HopxError]:
        answers: list[Launched | HopxError] = []
        for launch in launches:
            try:
                answers.append(self.launch(launch))
            except HopxError as error:
                return [*answers, error]
        return answers

    def _launch_together(self, launches: Sequence[Launch]) -> Sequence[Launched | HopxError] | None:
        """As `launch_many`; None where the agent does not understand that, or not so much. Raises its refusal."""
        content = wire.many_body([wire.launch_body(launch) for launch in launches], [each.run_id for each in launches])
        request = Request("POST", wire.EXECUTE_MANY, content=content)
        try:
            body = self.transport.redacted(self._send_launch(request).body)
            return decode_many(body, len(launches), agent=self.label, endpoint=f"POST {request.path}")
        except AgentError as error:
            if lost_replies.may_have_launched(error):
                return lost_replies.find_all(self, launches, error)
            if isinstance(error, NotSupported) or (isinstance(error, AgentRefused) and error.status in (404, 405, 413)):
                return None
            raise

    def features(self) -> Collection[str]:
        """What the agent says that it can do beyond the agent API; one that can't be asked can nothing.

        Asked once, and again when the agent is found anew, which may be of another version then.
        """
        if self._features is None or self._features[0] != self.transport.endpoint:
            try:
                info = read_json(self.transport.read(Request("GET", wire.INFO)).body, agent=self.label)
                self._features = self.transport.endpoint, frozenset(str(feature) for feature in info["features"])
            except (AgentError, LookupError, TypeError):
                return ()
        return self._features[1]

    def keeps_limits(self) -> bool:
        """Whether the agent itself keeps the limit of a sweep."""
        return "sweep-limit" in self.features()

    # ------------------------------------------------------------ output

    def output(self, process_id: ProcessId, stream: Stream, *, start: int = 0, stop: int | None = None) -> OutputPart:
        """Bytes `start` to `stop` of a stream; a negative `start` counts from the end, like a slice.

        Where the agent sends less at once, it is asked on. Raises NotSupported when the agent has output only in its
        listing, or not at all.
        """
        if self._serves_output is False:
            raise self._no_output()
        pieces: list[bytes] = []
        begin, position, end = start, start, stop
        for _ in range(MOST_PIECES):
            try:
                reply = self.transport.read(_output_request(process_id, stream, position, end))
            except AgentRefused as error:
                if error.status not in (404, 405) or error.code in wire.PROCESS_UNKNOWN_CODES:
                    raise
                raise self._no_output() from None
            part = self._output_part(reply, stream, position, end)
            if position < 0:
                begin = position = max(0, part.size + position)
                if part.start != begin:  # it has its own idea of an end
                    continue
            pieces.append(part.data)
            position = part.start + len(part.data)
            end = part.size if end is None else min(end, part.size)
            if not part.data or position >= end:
                return OutputPart(b"".join(pieces), min(begin, part.size), part.size, part.gap)
        raise BadReply(f"it sends {stream} in more than {MOST_PIECES:,} pieces", agent=self.label)

    def _output_part(self, reply: Reply, stream: Stream, start: int, stop: int | None) -> OutputPart:
        is_output = reply.headers.get("content-type", "").startswith("application/octet-stream")
        if not is_output and reply.status != 416:  # which says that there is no such part of it
            raise self._no_output()
        self._serves_output = True
        part = _read_part(reply, start, stop)
        if part is None:
            raise BadReply(f"it answered with another part of {stream} than was asked for", agent=self.label)
        return part

    def whole_output(self, process_id: ProcessId, stream: Stream, *, tail: int | None = None) -> tuple[bytes, int]:
        """A stream as it is now, or its last `tail` bytes, and how many bytes were before them.

        Raises NotSupported as `output` does.
        """
        if tail is not None:
            part = self.output(process_id, stream, start=-max(tail, 1))
            return (part.kept, part.start) if tail else (b"", part.size)
        part = self.output(process_id, stream, stop=CHUNK)
        parts, end = [part.kept], part.size
        while (position := part.end) < end and part.data:
            part = self.output(process_id, stream, start=position, stop=min(end, position + CHUNK))
            parts.append(part.kept)
        return b"".join(parts), 0

    def _no_output(self) -> NotSupported:
        self._serves_output = False
        return NotSupported("this agent does not serve the output of single processes", agent=self.label)

    # ------------------------------------------------------------ kill

    def kill(self, process_id: ProcessId) -> bool:
        """Asks for the end of a process, in the form that this agent understands.

        True: the agent accepted, which only a listing can confirm. False: it says that there is no such process, or
        that it has ended. Asked again for a while when no answer comes. Raises NotSupported when no form is understood.
        """
        patience, is_repeated = self.transport.patience(), False
        while True:
            try:
                # That it has ended may be the work of an earlier request, whose reply was lost.
                return self._ask_to_end(process_id) or is_repeated
            except (AgentUnreachable, AgentRefused) as error:
                patience.wait_after(error)
                is_repeated = True

    def kill_many(self, process_ids: Sequence[ProcessId]) -> set[ProcessId]:
        """Asks for the end of processes, with one request where the agent takes that; those for which it accepted."""
        content = msgspec.json.encode(wire.KillManyRequest(process_ids=list(process_ids)))
        request = Request("POST", wire.KILL_MANY, content=content)
        patience, accepted = self.transport.patience(), {"killed", "leftovers killed", "still running"}
        while True:
            try:
                body = self.transport.send(request).body
                results = decode_kills(body, agent=self.label, endpoint=f"POST {wire.KILL_MANY}")
                return {process_id for process_id in process_ids if results.get(process_id) in accepted}
            except (AgentUnreachable, AgentRefused) as error:
                if isinstance(error, AgentRefused) and error.status in (404, 405, 413):
                    return {process_id for process_id in process_ids if self.kill(process_id)}
                patience.wait_after(error)
                accepted.add("already finished")  # which may be the work of the earlier request

    def _ask_to_end(self, process_id: ProcessId) -> bool:
        forms = wire.kill_forms(process_id)
        for index, form in enumerate(forms[self._kill_form :], self._kill_form):
            content = None if form.body is None else msgspec.json.encode(form.body)
            try:
                reply = self.transport.send(Request(form.method, form.path, form.params, content=content))
                check_kill_reply(reply.body, agent=self.label, endpoint=f"{form.method} {form.path}")
            except AgentRefused as error:
                if error.status == 404 and error.code in wire.PROCESS_UNKNOWN_CODES:
                    return False
                if error.status not in (400, 404, 405):
                    raise
            except NotSupported:
                pass
            else:
                self._kill_form = index
                return True
        raise NotSupported("this agent understands no form of the kill request", agent=self.label)

    # ------------------------------------------------------------ pause, queue

    def pause(self, process_ids: Sequence[ProcessId], *, pause: bool = True) -> dict[ProcessId, PauseResult]:
        """Pauses processes, or lets them go on; what became of each. Raises NotSupported where the agent can't."""
        path = wire.PAUSE if pause else wire.RESUME
        content = msgspec.json.encode({"process_ids": process_ids})
        reply = self._ask(Request("POST", path, content=content), "pause processes")
        return decode_turns(reply.body, agent=self.label, endpoint=f"POST {path}")

    def queue(self, change: wire.QueueRequest | None = None) -> QueueState:
        """How the agent works off its queue, after a change or as it is. Raises NotSupported where it can't tell."""
        content = None if change is None else msgspec.json.encode(change)
        request = Request("GET" if change is None else "POST", wire.QUEUE, content=content)
        reply = self._ask(request, "tell or change its queue")
        return decode_queue(reply.body, agent=self.label, endpoint=f"{request.method} {wire.QUEUE}")

    def _ask(self, request: Request, what: str) -> Reply:
        """Asked again when no answer comes, since it makes no difference how often this is done."""
        try:
            return self.transport.read(request)
        except AgentRefused as error:
            if error.status in (404, 405):
                raise NotSupported(f"this agent can't {what}", agent=self.label, hint=_ONLY_OURS) from None
            raise


def _launch_request(launch: Launch) -> Request:
    path = wire.EXECUTE_BACKGROUND if launch.callback is None else wire.EXECUTE_ASYNC
    return Request("POST", path, headers={"Idempotency-Key": launch.run_id}, content=wire.launch_body(launch))


def _no_callbacks(launch: Launch, error: AgentError) -> NotSupported | None:
    """What an error says of an agent that was to tell an end, and doesn't know how."""
    unknown = isinstance(error, NotSupported) or (isinstance(error, AgentRefused) and error.status in (404, 405))
    if launch.callback is None or not unknown:
        return None
    return NotSupported(
        f"this agent does not support POST {wire.EXECUTE_ASYNC}; nothing was launched",
        agent=error.agent,
        hint="Launch without a callback, and wait for the end or watch it here. The local agent has callbacks.",
    )


def _gap(reply: Reply) -> tuple[int, int] | None:
    told = _LEFT_OUT.fullmatch(reply.headers.get(wire.LEFT_OUT, ""))
    return (int(told[1]), int(told[2])) if told and int(told[1]) <= int(told[2]) else None


_LEFT_OUT = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")
_CONTENT_RANGE = re.compile(r"bytes (?:([0-9]{1,18})-[0-9]{1,18}|\*)/([0-9]{1,18})")


def _output_request(process_id: ProcessId, stream: Stream, start: int, stop: int | None) -> Request:
    span = f"bytes={start}" if start < 0 else f"bytes={start}-{'' if stop is None else stop - 1}"
    return Request("GET", f"{wire.PROCESSES}/{quote(process_id, safe='')}/{stream}", headers={"Range": span})


def _read_part(reply: Reply, start: int, stop: int | None) -> OutputPart | None:
    """What was asked for, as far as it came; None when something else did."""
    span = _CONTENT_RANGE.fullmatch(reply.headers.get("content-range", ""))
    if reply.status == 416:
        size = int(span[2]) if span else 0
        return OutputPart(b"", size, size)
    if reply.status == 206:
        if not span or not span[1]:
            return None
        first, size = int(span[1]), int(span[2])
        is_wanted = first == start if start >= 0 else first >= size + start
        last = size if stop is None else min(stop, size)
        data = bytes(reply.body[: last - first])
        return OutputPart(data, first, size, _gap(reply)) if is_wanted and first < last else None
    whole = bytes(reply.body)
    first = max(0, len(whole) + start) if start < 0 else start
    return OutputPart(whole[first:stop], first, len(whole))
