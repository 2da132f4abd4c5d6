"""What differs between two listings: as an agent tells it, or found out by comparing."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from ..durations import bounded
from ..errors import BadReply
from ..models import Change, Listing, Process, ProcessId
from .fields import Body, read_etag
from .listing import decode_rows
from .replies import excerpt
from .requests import DELTA


class _Delta(msgspec.Struct):
    gone: list[ProcessId]
    count: int


_decode_delta = msgspec.json.Decoder(_Delta).decode


def can_be_base(listing: Listing) -> bool:
    """Whether an agent can be asked for what differs from this listing."""
    return listing.etag is not None and len(listing.by_id) == len(listing.processes)


def decode_change(body: Body, headers: Mapping[str, str], base: Listing, *, received_at: datetime) -> Change:
    """The reply of an agent that tells what differs from `base`, as `DELTA` describes it, put into that listing.

    Raises BadReply for whatever would not lead to the agent's listing.
    """
    agent = base.agent
    if headers.get("im", "").strip().lower() != DELTA or _opaque(headers.get("delta-base")) != _opaque(base.etag):
        raise BadReply("it answered with a difference from a listing that nobody has", agent=agent)
    try:
        delta = _decode_delta(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise BadReply(f"its reply is no difference between two listings: {excerpt(body)}", agent=agent) from None
    rows = decode_rows(body, agent=agent, received_at=received_at)
    gone = [process_id for process_id in dict.fromkeys(delta.gone) if process_id in base.by_id]
    listing = _merged(base, rows, gone, received_at, read_etag(headers.get("etag")))
    ids = {row.process_id for row in rows}
    if None in ids or len(ids) < len(rows) or not ids.isdisjoint(delta.gone) or len(listing.processes) != delta.count:
        raise BadReply("the difference that it told does not fit to the listing before", agent=agent)
    changed = tuple(row for row in rows if _differ(base.find(row.process_id), row))
    return Change(listing, changed, tuple(gone))


def _merged(
    base: Listing, rows: tuple[Process, ...], gone: list[ProcessId], received_at: datetime, etag: str | None
) -> Listing:
    by_id = dict(aged(base, received_at).by_id)
    for process_id in gone:
        del by_id[process_id]
    by_id.update((row.process_id, row) for row in rows if row.process_id)
    listing = Listing(
        processes=tuple(by_id.values()), agent=base.agent, received_at=received_at, etag=etag, tail=base.tail
    )
    vars(listing)["by_id"] = by_id
    return listing


def aged(listing: Listing, now: datetime) -> Listing:
    """A listing that still holds, `now`: what runs has run on."""
    later = (now - listing.received_at).total_seconds()
    processes = tuple(
        msgspec.structs.replace(process, execution_time=bounded(process.execution_time + later))
        if process.status == "running" and process.execution_time is not None
        else process
        for process in listing.processes
    )
    return msgspec.structs.replace(listing, processes=processes, received_at=now)


def compare(known: Listing | None, listing: Listing) -> Change:
    """In what a listing differs from the one that is known."""
    if known is None or _without_own_id(known) != _without_own_id(listing):
        return Change(listing)
    old, new = known.by_id, listing.by_id
    changed = tuple(process for process_id, process in new.items() if _differ(old.get(process_id), process))
    gone = tuple(process_id for process_id in old if process_id not in new)
    return Change(listing, changed, gone)


def _without_own_id(listing: Listing) -> list[Process]:
    """Processes that nothing is known to tell apart by."""
    if len(listing.by_id) == len(listing.processes):
        return []
    shared = listing.shared_ids
    return [process for process in listing.processes if not process.process_id or process.process_id in shared]


def _differ(old: Process | None, new: Process) -> bool:
    if old == new:
        return False
    if old is None or not old.status == new.status == "running":
        return True
    return msgspec.structs.replace(new, execution_time=old.execution_time) != old


def _opaque(etag: str | None) -> str:
    """What makes an ETag the same as another one, weak or not."""
    return (etag or "").strip().removeprefix("W/")
