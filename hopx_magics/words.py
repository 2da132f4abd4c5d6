"""The words that are said everywhere, each list in its order: in options, tables, requests and the history.

Imports nothing, so that the magics may use them without cost.
"""

from typing import Literal, get_args

Status = Literal["queued", "running", "completed", "failed", "killed", "unknown"]

STATUSES: tuple[Status, ...] = get_args(Status)
"""All statuses, in the order in which a process passes through them and in which tables show them."""

ENDED: frozenset[Status] = frozenset({"completed", "failed", "killed"})
"""The statuses that are final."""

GOING: frozenset[Status] = frozenset({"queued", "running"})
"""The statuses of what goes on. `unknown` is neither final nor one of these: it may be either."""

Stream = Literal["stdout", "stderr"]

STREAMS: tuple[Stream, ...] = get_args(Stream)

Language = Literal["python", "bash", "javascript", "go"]

LANGUAGES: tuple[Language, ...] = get_args(Language)

LANGUAGE_ALIASES: dict[str, Language] = {
    "py": "python",
    "python3": "python",
    "sh": "bash",
    "shell": "bash",
    "js": "javascript",
    "node": "javascript",
    "nodejs": "javascript",
    "golang": "go",
}
"""Other names of the languages: those of the agent's OpenAPI 3.1.1, and `py` and `golang`."""

Capture = Literal["auto", "files", "agent"]
"""Who is to keep the output of a launch."""

CAPTURES: tuple[Capture, ...] = get_args(Capture)

Feature = Literal[
    "streams", "kill", "values", "files", "ranges", "changes", "queue", "resources", "leftovers", "notices", "bounds"
]

FEATURES: tuple[Feature, ...] = get_args(Feature)
"""What connections may be able to do: keep stdout and stderr apart, kill, take and keep values and displays, serve
files, and parts of an output, tell only what changed; `--first`, `--after` and pauses; `--gpus`, `--cpus`, `--memory`;
`--kill-leftovers`; `--notify`; `--stop-when` and `--keep-best`."""

OUTPUT_CHOICES = ("none", "tail", "full")
"""How much of the output of processes a listing of them has."""

KillResult = Literal["killed", "leftovers killed", "already finished", "still running", "unknown id"]
"""What became of a process that was to be killed; `leftovers killed` of an ended one that had left others running."""

PauseResult = Literal["paused", "already paused", "resumed", "not paused", "already finished", "unknown id"]
"""What became of a process that was to be paused, or to go on."""

WaitsFor = Literal["slot", "limit", "resume", "after", "retry", "resources"]
"""What keeps a queued process from starting: all slots of its agent are taken, its sweep's limit, that it is paused, or
the queue is, that it comes after others, or the pause before it is tried again, or GPUs, processors or memory."""

SandboxStatus = Literal["running", "stopped", "paused", "creating", "unknown"]

SANDBOX_STATUSES: tuple[SandboxStatus, ...] = get_args(SandboxStatus)

_SIGNALS = (
    "HUP",
    "INT",
    "QUIT",
    "ILL",
    "TRAP",
    "ABRT",
    "BUS",
    "FPE",
    "KILL",
    "USR1",
    "SEGV",
    "USR2",
    "PIPE",
    "ALRM",
    "TERM",
)
"""The signals from 1 on, as they are on Linux."""


def signal_name(exit_code: int | None) -> str | None:
    """The signal that an exit code stands for: 128 + n, as shells tell that signal n has ended a process, or -n."""
    number = 0 if exit_code is None else -exit_code if exit_code < 0 else exit_code - 128
    return f"SIG{_SIGNALS[number - 1]}" if 0 < number <= len(_SIGNALS) else None


OFFERED_COLUMNS = (
    *("status", "name", "language", "started_at", "completed_at", "execution_time", "exit_code"),
    *("connection", "sandbox"),
)
"""The columns of a DataFrame of processes that Tab offers to sort and to group by."""


def word_set(text: str) -> frozenset[str]:
    """The words of a text that may have several lines, for a list of words that is long."""
    return frozenset(text.split())


def size_in_words(size: int) -> str:
    """A number of bytes in three digits: `24 bytes`, `1.2 kB`, `14.9 GB`. `sizeInWords` in `live/page` is the same."""
    amount, unit = float(size), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 999.5:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.3g} {unit}" if amount < 999.5 else f"{amount:,.0f} {unit}"
