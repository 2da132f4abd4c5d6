"""What differs between two listings: as an agent tells it, or found out by comparing."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

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
    return listing.etag is not None and len(listing.told_by_id) == len(listing.told)


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
    gone = [process_id for process_id in dict.fromkeys(delta.gone) if process_id in base.told_by_id]
    listing = _merged(base, rows, gone, received_at, read_etag(headers.get("etag")))
    ids = {row.process_id for row in rows}
    if None in ids or len(ids) < len(rows) or not ids.isdisjoint(delta.gone) or len(listing.told) != delta.count:
        raise BadReply("the difference that it told does not fit to the listing before", agent=agent)
    changed = tuple(row for row in rows if _differ(base.told_by_id.get(ProcessId(row.process_id or "")), row))
    return Change(listing, changed, tuple(gone))


def _merged(
    base: Listing, rows: tuple[Process, ...], gone: list[ProcessId], received_at: datetime, etag: str | None
) -> Listing:
    by_id, told_at = dict(base.told_by_id), dict(base.told_at or dict.fromkeys(base.told_by_id, base.received_at))
    for process_id in gone:
        del by_id[process_id], told_at[process_id]
    for row in rows:
        if row.process_id:
            by_id[row.process_id], told_at[row.process_id] = row, received_at
    listing = Listing(
        told=tuple(by_id.values()),
        told_at=told_at,
        agent=base.agent,
        received_at=received_at,
        etag=etag,
        tail=base.tail,
    )
    vars(listing)["told_by_id"] = by_id
    return listing


def aged(listing: Listing, now: datetime) -> Listing:
    """A listing that still holds, `now`: what runs has run on."""
    told_at = listing.told_at or dict.fromkeys(listing.told_by_id, listing.received_at)
    return msgspec.structs.replace(listing, told_at=told_at, received_at=now)


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
