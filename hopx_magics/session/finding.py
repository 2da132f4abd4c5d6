"""Which process a user means."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from ..errors import UnknownProcess
from ..models import Listing, Process
from ..output.oneline import one_line, printable

SHOWN = 3
"""How many processes an error names."""


def find_process(listing: Listing, reference: str) -> Process:
    """The process of that id, else the newest of that name, else the only one whose id begins so.

    Raises UnknownProcess that names the nearest ones.
    """
    processes = listing.processes
    name = one_line(reference)  # as names are made when they are launched
    named = [process for process in processes if name and process.name == name]
    prefixed = [process for id_, process in listing.by_id.items() if reference and id_.startswith(reference)]
    found = process_of_id(processes, reference) or (named[-1] if named else prefixed[0] if len(prefixed) == 1 else None)
    if found is not None:
        return found
    if prefixed:
        raise UnknownProcess(
            f"{listing.agent}: {len(prefixed)} processes have an id that begins with {reference!r}",
            hint=f"Which one? {_described(prefixed)}",
        )
    near = nearest_processes(processes, reference)
    raise UnknownProcess(
        f"{listing.agent}: there is no process {printable(reference, 60)!r}",
        hint=_hint(near, processes),
    )


def process_of_id(processes: Iterable[Process], reference: str) -> Process | None:
    """The process of that id, its own or that of its run; None if there is none."""
    return next((each for each in processes if reference and reference in (each.process_id, each.run_id)), None)


def is_meant(process: Process, reference: str) -> bool:
    """Whether `reference` is the process's name, its id or that of its run, or the beginning of its id."""
    is_name = process.name is not None and process.name == one_line(reference)
    is_id = process.process_id is not None and process.process_id.startswith(reference)
    return is_name or (reference != "" and (is_id or process.run_id == reference))


def nearest_processes(processes: Sequence[Process], reference: str) -> list[Process]:
    """The processes whose names or ids look most like `reference`."""
    words = [word for process in processes for word in (process.name, process.process_id) if word]
    near = get_close_matches(reference, words, n=SHOWN)
    return [process for process in processes if process.process_id in near or process.name in near]


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the known word that looks most like `word`, or nothing."""
    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _hint(near: Sequence[Process], processes: Sequence[Process]) -> str:
    if near:
        return f"Did you mean {_described(near)}?"
    return f"There is {_described(processes)}" if processes else "There are no processes at all."


def _described(processes: Sequence[Process]) -> str:
    texts = [
        f"{process.process_id} ({printable(process.name, 40)})" if process.name else str(process.process_id)
        for process in reversed(processes[-SHOWN:])
    ]
    more = [f"and {len(processes) - SHOWN} more"] if len(processes) > SHOWN else []
    return ", ".join([*texts, *more])
