"""Forks of clients, which wait for their turn at a gate; the agent looks after them without being their parent.

A client forks its keeper, which is to the cell what the shell is to a program: it holds the lock of the folder, waits
for the cell's end, and writes how that was. The cell itself waits at the folder's gate. What it is told there is one
object of JSON: `env` are variables of its environment that depend on its turn.
"""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from .active import Active
from .family import MARK, Entry, Member, lives, unshared_memory
from .programs import FORMER, chosen

NEVER = b""
"""What is told at the gate when the turn never comes."""

_POLL = 0.002


class Told(msgspec.Struct, frozen=True):
    """What a fork is told when it is its turn."""

    env: dict[str, str]


async def let_begin(active: Active, former: Mapping[str, Sequence[str]]) -> None:
    """Lets a fork begin whose turn it is, and waits until it has. Raises ValueError when it has ended before."""
    folder, keeper = active.folder, active.launched.keeper
    env = {MARK: active.process_id, **chosen(active.gpus)}
    if former:
        env[FORMER] = folder.write_former(former)
    told = msgspec.json.encode(Told(env)) + b"\n"
    while keeper is not None and folder.read_start() is None:
        folder.open_gate(told)  # again and again does no harm: only the first word is heard
        if not lives(Member(*keeper)) and folder.read_start() is None:
            raise ValueError("its fork ended while it waited for its turn")
        await asyncio.sleep(_POLL)


def of_forks(entries: Sequence[Entry], pids: Sequence[int]) -> list[Entry]:
    """The processes of a fork with the memory that is theirs alone."""
    return [entry._replace(memory=unshared_memory(pid)) for entry, pid in zip(entries, pids, strict=True)]
