"""What a launch becomes on an agent elsewhere, and what of it such an agent can't do. Pure."""

import msgspec

from ..errors import LaunchError, NotSupported
from ..kept import KeptRun
from ..models import Launch
from ..values.facts import names_in_words


def check_elsewhere(launch: Launch, place: str) -> None:
    """Raises LaunchError for what only the agent of this machine can do; `place` is the name of the connection."""
    if launch.kill_leftovers:
        raise LaunchError(
            f"{place} can't kill what a run leaves running: only the agent of this machine knows that",
            hint="Launch it without --kill-leftovers, and let the cell end what it starts.",
        )
    if launch.stop_when or launch.keep_best:
        raise LaunchError(
            f"{place} can't stop a run by what it prints: only the agent of this machine reads that",
            hint="Let the cell end itself, or launch with --on local.",
        )
    if options := _of_queues(launch):
        raise LaunchError(
            f"{place} has no queue in which {' and '.join(options)} would mean something",
            hint="The agent of this machine has one: launch with --on local, or wait with %hopx_wait before.",
        )


def _of_queues(launch: Launch) -> list[str]:
    """The options of a launch that only an agent with a queue knows."""
    given = {
        "--first": launch.first,
        "--after": launch.after,
        "--after-any": launch.after_any,
        "--retry": launch.retries,
        "--gpus": launch.gpus,
        "--cpus": launch.cpus,
        "--memory": launch.memory,
    }
    return [option for option, is_given in given.items() if is_given]


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
