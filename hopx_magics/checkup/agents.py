"""An agent, whichever it is: whether it answers and takes the token, its clock, its queue, and what is left over."""

from collections.abc import Iterator
from datetime import UTC, datetime

from ..client import health
from ..client.transport import Transport
from ..connection.connection import Connection
from ..durations import format_duration
from ..errors import AgentError, AgentUnreachable, HopxError, Unauthorized
from ..findings import Finding, attention, broken, ok
from ..models import Listing
from ..output.oneline import printable
from ..words import size_in_words
from .network import look_at_host

ANSWER = 5.0
"""Seconds in which an agent has to answer: then it hangs."""

NOT_ANSWERING = "Nothing can be listed or launched there; what runs goes on."

CLOCK_OFF = 5.0
"""Seconds by which a clock may be wrong without anybody being misled."""

SOON = 900.0
"""Seconds from the end of a token or a sandbox from which on it needs attention."""


def look_at_agent(connection: Connection) -> Iterator[Finding]:
    """What there is to know of a connection's agent, until it fails to answer."""
    transport = connection.agent.transport
    try:
        answered = health.answered(transport, ANSWER)
        listing = health.listed(transport, ANSWER)
    except HopxError as error:
        yield not_answering(error)
        if isinstance(error, AgentUnreachable) and transport.endpoint and transport.endpoint.socket is None:
            yield from look_at_host(transport.endpoint.url, NOT_ANSWERING)
        yield from _token(transport)
        yield from _sandbox(connection)
        return
    count = len(listing.processes)
    listed = f"{count:,} {'process' if count == 1 else 'processes'}"
    yield ok("answers", f"after {answered.seconds * 1000:,.0f} ms, with {listed}")
    yield from tell_clock(answered)
    yield from _token(transport)
    yield from _sandbox(connection)
    yield from _about(transport)
    yield from _leftovers(listing)
    yield from _queue(connection)


def not_answering(error: HopxError) -> Finding:
    """That an agent does not answer as it should."""
    if isinstance(error, Unauthorized):
        return broken("token", error.message, "The agent is there, and tells nothing without it.", error.hint)
    return broken("answers", error.message, NOT_ANSWERING, error.hint)


def tell_clock(answered: health.Answered) -> Iterator[Finding]:
    """How far an agent's clock is from ours, if it tells the time."""
    if answered.ahead is None:
        return
    if abs(answered.ahead) <= CLOCK_OFF:
        yield ok("clock", "as here")
        return
    how = f"{format_duration(abs(answered.ahead))} {'ahead of' if answered.ahead > 0 else 'behind'} the clock here"
    means = "Times and ages of its runs are wrong by so much, and tokens and sandboxes seem to end at another time."
    yield attention("clock", how, means, "Set both clocks by the network (NTP); `timedatectl` shows whether one is.")


def _token(transport: Transport) -> Iterator[Finding]:
    endpoint = transport.endpoint
    if endpoint is None or endpoint.token is None:
        return
    until = health.token_expires_at(endpoint)
    if until is None:
        return
    left = (until - datetime.now(UTC)).total_seconds()
    renewed = endpoint.renew_at is not None or endpoint.expires_at is not None
    if left <= 0:
        means = "The agent refuses what is asked with it."
        yield broken("token valid until", _moment(until), means, None if renewed else endpoint.when_refused)
    elif left < SOON and not renewed:
        yield attention("token valid until", _ends(until, left), "Then the agent refuses it.", endpoint.when_refused)
    else:
        yield ok("token valid until", _ends(until, left), "It is renewed by itself." if renewed else None)


def _sandbox(connection: Connection) -> Iterator[Finding]:
    ends = connection.expiry.at() if connection.expiry else None
    if ends is None:
        return
    left = (ends - datetime.now(UTC)).total_seconds()
    if left <= 0:
        yield broken("sandbox expires", _moment(ends), "It is gone, with all that was in it.", "Create a new one.")
    elif left < SOON:
        advice = f"%hopx_extend {connection.name} 2h puts it off."
        yield attention("sandbox expires", _ends(ends, left), "Then it is gone, with all that is in it.", advice)
    else:
        yield ok("sandbox expires", _ends(ends, left))


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def _ends(moment: datetime, left: float) -> str:
    return f"{_moment(moment)}, in {format_duration(left)}"


def _about(transport: Transport) -> Iterator[Finding]:
    about = health.about(transport, ANSWER)
    if about.agent_version is None:
        return
    told = f"{printable(about.agent or 'agent', 60)} {printable(about.agent_version, 30)}"
    age = f", up for {printable(about.uptime, 20)}" if about.uptime else ""
    yield ok("version", f"{told}{f', pid {about.pid}' if about.pid else ''}{age}")


def _leftovers(listing: Listing) -> Iterator[Finding]:
    owners = [process for process in listing.processes if process.ended and process.leftovers]
    if not owners:
        yield ok("leftovers", "none")
        return
    count = sum(len(process.leftovers) for process in owners)
    one = owners[-1]
    told = f"{count} {'process' if count == 1 else 'processes'} of {len(owners)} that ended"
    means = "They still run, and may hold memory, ports or a GPU; some may be meant to."
    yield attention(
        "leftovers", told, means, f"%hopx_kill {one.process_id} ends those of {one.name or 'the last one'}."
    )


def _queue(connection: Connection) -> Iterator[Finding]:
    try:
        queue = connection.agent.queue()
    except AgentError:  # most agents have none
        return
    told = f"{queue.running} of {queue.max_running} running, {queue.queued} queued"
    if queue.paused:
        means = "Nothing new starts."
        yield attention("queue", f"{told}; it is paused", means, "%hopx_resume --queue lets it go on.")
    else:
        yield ok("queue", told)
    given = f"{queue.cpus:g} processors, {size_in_words(queue.memory)} memory" if queue.cpus else ""
    gpus = f"GPUs {', '.join(printable(gpu, 20) for gpu in queue.gpus)}" if queue.gpus else "no GPUs"
    if given:
        yield ok("hands out", f"{gpus}, {given}")
