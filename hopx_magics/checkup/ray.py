"""A Ray cluster: whether its head answers and takes the token, its version and clock, and what it has that is free."""

from collections.abc import Iterator

from ..client import health
from ..client.transport import Transport
from ..connection.ray import RayConnection
from ..errors import AgentUnreachable, HopxError
from ..findings import Finding, attention, ok
from ..output.oneline import printable
from ..protocol import ray as wire
from ..words import size_in_words
from .agents import ANSWER, NOT_ANSWERING, not_answering, tell_clock
from .network import look_at_host


def look_at_cluster(connection: RayConnection) -> Iterator[Finding]:
    """What there is to know of a cluster, until its head fails to answer."""
    transport = connection.agent.transport
    try:
        answered = health.answered(transport, ANSWER, wire.VERSION)
        version = wire.decode_version(health.asked(transport, wire.VERSION, ANSWER), agent=transport.label)
        jobs = wire.decode_jobs(health.asked(transport, wire.JOBS, ANSWER), agent=transport.label).jobs
        total = wire.decode_resources(health.asked(transport, wire.NODES, ANSWER), agent=transport.label)
    except HopxError as error:
        yield not_answering(error)
        if isinstance(error, AgentUnreachable) and transport.endpoint:
            yield from look_at_host(transport.endpoint.url, NOT_ANSWERING)
        return
    count = f"{len(jobs):,} {'job' if len(jobs) == 1 else 'jobs'}"
    yield ok("answers", f"after {answered.seconds * 1000:,.0f} ms, with {count}")
    yield from tell_clock(answered)
    if transport.endpoint and transport.endpoint.token:
        yield ok("token", "is taken")
    yield ok("version", f"Ray {printable(version.ray_version, 30)}")
    yield _resources(total, _used(transport))
    waiting = sum(job.status == "PENDING" for job in jobs)
    if waiting:
        means = "They have not got their resources yet; Ray fails what waits for longer than 15 minutes."
        yield attention("waiting", f"{waiting:,} of {count}", means)


def _used(transport: Transport) -> dict[str, float]:
    try:
        return wire.decode_used(health.asked(transport, wire.USAGE, ANSWER))
    except HopxError:  # not every Ray has it
        return {}


def _resources(total: dict[str, float], used: dict[str, float]) -> Finding:
    if not total.get("CPU"):
        return attention("resources", "no processors", "Nothing is started until a node has some.")
    free = {name: max(0.0, count - used.get(name, 0.0)) for name, count in total.items()}
    memory = f"{size_in_words(int(free.get('memory', 0)))} of {size_in_words(int(total.get('memory', 0)))} memory"
    gpus = f"{free['GPU']:g} of {total['GPU']:g} GPUs" if total.get("GPU") else "no GPUs"
    words = f"{free['CPU']:g} of {total['CPU']:g} processors, {gpus}, {memory}"
    return ok("resources", f"{words} are free" if used else f"{words}; Ray does not tell what is in use")
