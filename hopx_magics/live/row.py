"""One row of a live table: what a page knows of one process."""

from typing import Any

import msgspec

from ..words import Status


class Row(msgspec.Struct, frozen=True):
    """What a page knows of one process. Times are in seconds since 1970, spans in seconds.

    `started` and `ended` are by the agent's clock; `began` is by the kernel's clock, from which a page counts how long
    a process has been running. `progress` is from 0 to 1, `left` the estimated rest, `last` the last line of output.
    `skipped` is how many queued processes that the table does not show stand directly before this queued one: so its
    place in the queue is known, and few rows change when one of the queue has its turn. `leftovers` is how many
    processes an ended one has left running; `displays` says that it is known to have displayed something. What is
    `paused` has no place, and what is `first` is ahead of what is not. `params` are in the order in which they tell it
    from others: first those that differ in its sweep. `metrics` are the last numbers of its output by their names, of
    too many only the first (`metrics_cut`). `cpu` is the share of a core in percent; `memory` are the bytes that it
    takes, or when it has ended the most that it took; `gpu` and `gpu_memory` are the same of GPUs.
    """

    id: str
    connection: str
    name: str | None
    status: Status
    detail: str | None
    language: str | None
    started: float | None
    ended: float | None
    began: float | None
    elapsed: float | None
    exit_code: int | None
    progress: float | None
    left: float | None
    last: str
    skipped: int
    leftovers: int
    paused: bool
    first: bool
    displays: bool
    params: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, float]
    metrics_cut: bool
    cpu: int | None
    memory: int | None
    gpu: int | None
    gpu_memory: int | None
    usual: str


FIELDS = Row.__struct_fields__


def differences(old: Row | None, new: Row) -> dict[str, Any]:
    """The fields that differ, of a new row all. Of metrics only new points are told, which is not known here."""
    values = msgspec.structs.astuple(new)
    if old is None:
        return dict(zip(FIELDS, values, strict=True))
    compared = zip(FIELDS, msgspec.structs.astuple(old), values, strict=True)
    return {field: value for field, before, value in compared if value != before and field != "metrics"}
