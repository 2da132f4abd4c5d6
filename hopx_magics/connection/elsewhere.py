"""What a launch becomes on an agent elsewhere. Pure."""

import re

import msgspec

from ..errors import LaunchError, NotSupported
from ..kept import KeptRun
from ..models import Launch, Notify
from ..notices import DESKTOP
from ..values.facts import names_in_words


def without_desktop(notify: Notify) -> Notify | None:
    """Where else notices go; None for nowhere."""
    places = tuple(place for place in notify.places if place != DESKTOP)
    return msgspec.structs.replace(notify, places=places) if places else None


def without_former(launch: Launch, place: str) -> Launch:
    """The launch without what those have kept that it comes after: not all agents have it found by cells.

    Raises LaunchError for code that speaks of it.
    """
    used = [name for name in launch.former if re.search(rf"\b{re.escape(name)}\b", launch.code)]
    if used:
        raise LaunchError(
            f"what {' and '.join(used)} has kept is not found by cells on {place}",
            hint=f"Load it in the notebook, which sends it: wait for it, x = {used[0]}[NAME], and use x in the cell.",
        )
    return msgspec.structs.replace(launch, former={})


def as_program(launch: Launch, place: str, why: NotSupported) -> Launch:
    """The launch as that of a plain program, without variables. Raises LaunchError for what is more than that."""
    reason = why.message.removeprefix(f"{why.agent}: ")
    if launch.needs_notebook:
        raise LaunchError(
            f"magics, ! and a bare await don't work in a cell on {place}: {reason}",
            hint="There it is plain Python: asyncio.run() and subprocess work.",
        )
    if launch.keep or launch.values or (launch.packed and launch.packed.is_named):
        raise LaunchError(
            f"variables can't travel to or from {place}: {reason}",
            hint="Launch without --in and --out, or with --here.",
        )
    return msgspec.structs.replace(launch, packed=None)


def values_left_behind(launch: Launch, place: str) -> str | None:
    """What is to be said of the variables that a plain program does not get; None where it needs none."""
    if not (launch.packed and launch.packed.names):
        return None
    return f"{place} takes no files: what was launched there has none of the notebook's variables"


def with_known_values(kept: KeptRun, launch: Launch) -> Launch:
    """The launch of a kept run, if it has the values that the run had. Raises LaunchError."""
    if launch.values:
        return msgspec.structs.replace(launch, packed=None, given=kept.values_in)
    if kept.values_in:
        raise LaunchError(
            f"the values that {kept.run_id} was launched with are not there (any more): "
            f"{names_in_words(kept.values_in)}",
            hint="--in auto takes those that the notebook has now, --in none launches it without.",
        )
    return launch
