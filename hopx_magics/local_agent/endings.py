"""From what a folder tells to what the listing says: how a process ended, and why."""

import os
from datetime import UTC, datetime

import msgspec

from ..output.conditions import parse_bound
from ..output.halving import parse_keep_best
from ..words import STREAMS, Status, signal_name, size_in_words
from . import outputs
from .family import clock
from .journal import Ended, Row
from .limiting import cut
from .metering import Usage
from .records import Evidence, Exit, Launched, Pauses, Start
from .store import DEPENDENCY, KILLED, NOT_BEST, OVER_MEMORY, STOPPED, Folder

KILLED_CODE = 137
"""The exit code of a process that was killed together with the shell that would have told it: 128 + SIGKILL."""

CLOCKS_DIFFER = 0.1
"""Seconds by which the time of day and the uptime may differ for other reasons than a jump."""

WHOLE_OUTPUT = 1024
"""Bytes of output up to which the row of a finished process keeps it, in memory and in the journal."""

LOST = "it ended without a record of how: it was killed from outside, or the machine was restarted"
NEVER_BEGAN = "it was not started: the shell that was to run it could not, or was killed"
OUT_OF_MEMORY = "killed by SIGKILL{at}, which nobody here sent: perhaps out of memory"


def utc(nanoseconds: int | None) -> str | None:
    """The moment in RFC 3339, in UTC and with microseconds."""
    if nanoseconds is None:
        return None
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def never_started(evidence: Evidence) -> bool:
    """Whether the process certainly did not run and nobody decided that it never shall."""
    return not (evidence.alive or evidence.start or evidence.intent.text or evidence.exit)


def conclude(
    launched: Launched, folder: Folder, output_limit: int, *, observed: int | None = None, usage: Usage | None = None
) -> Ended:
    """How a process ended that isn't alive any more. `observed` is when that was seen, in nanoseconds."""
    for stream in STREAMS:
        cut(folder.output(stream), output_limit)
    evidence = folder.read_evidence()
    code = _exit_code(evidence)
    intent = _intent(evidence)
    status, message = _judge(launched, folder, evidence, intent, code, usage)
    start = evidence.start
    ended = evidence.exit.time if evidence.exit else observed or max(folder.last_sign(), evidence.intent.time)
    if start is None and evidence.intent.text and not evidence.exit:
        ended = evidence.intent.time
    row = Row(
        process_id=launched.process_id,
        execution_id=launched.execution_id,
        name=launched.name or msgspec.UNSET,
        status=status,
        language=launched.language or msgspec.UNSET,
        started_at=utc(start.time if start else None),
        completed_at=utc(ended),
        exit_code=code,
        execution_time=_running_time(start, evidence.exit, ended, folder.read_pauses()) if start else None,
        pid=start.pid if start else msgspec.UNSET,
        message=message or msgspec.UNSET,
        gpus=folder.read_gpus() if launched.gpus else msgspec.UNSET,
        retry_of=launched.retry_of or msgspec.UNSET,
        stopped_when=_bound_met(launched, intent)[0] or _not_best(launched, intent) or msgspec.UNSET,
        usage=usage or msgspec.UNSET,
    )
    timed_out = intent not in ("", KILLED) and not intent.startswith((DEPENDENCY, NOT_BEST, OVER_MEMORY, STOPPED))
    return _with_output(row, launched, folder, ended, timed_out=timed_out)


def _with_output(row: Row, launched: Launched, folder: Folder, ended: int, *, timed_out: bool) -> Ended:
    stdout, stderr = (outputs.read_end(folder.output(stream), WHOLE_OUTPUT) for stream in STREAMS)
    whole = stdout.size + stderr.size <= WHOLE_OUTPUT
    if whole:
        row.stdout, row.stderr = stdout.text, stderr.text
    return Ended(
        values_bytes=folder.values_size() if launched.language == "python" else 0,
        process_id=launched.process_id,
        status=row.status,
        sequence=launched.sequence,
        ended=ended,
        stdout_bytes=stdout.size,
        stderr_bytes=stderr.size,
        left_out=stdout.left_out + stderr.left_out,
        whole=whole,
        row=msgspec.Raw(msgspec.json.encode(row)),
        key=launched.key,
        retry_of=launched.retry_of,
        timed_out=timed_out,
        told=launched.told.group if launched.told else None,
    )


def _running_time(start: Start, end: Exit | None, ended: int, pauses: Pauses) -> float:
    """Seconds from start to end, without those in which it was paused."""
    until = end.uptime if end and end.uptime is not None else clock()
    return max(0.0, _life_time(start, end, ended) - pauses.until(until))


def _life_time(start: Start, end: Exit | None, ended: int) -> float:
    """Seconds from start to end: by the time of day, unless that has jumped meanwhile."""
    by_time_of_day = (ended - start.time) / 1e9
    if end is None or end.uptime is None or start.uptime is None:
        return max(0.0, by_time_of_day)
    by_uptime = max(0.0, end.uptime - start.uptime)
    return by_time_of_day if by_time_of_day >= 0 and abs(by_time_of_day - by_uptime) < CLOCKS_DIFFER else by_uptime


def _exit_code(evidence: Evidence) -> int | None:
    if evidence.exit is not None and evidence.exit.code is not None:
        return evidence.exit.code
    return KILLED_CODE if evidence.intent.text and evidence.start else None


def _intent(evidence: Evidence) -> str:
    """Why the process was ended, if it was: what came after its end is no reason for it."""
    is_too_late = evidence.exit is not None and not evidence.exit.asked
    return "" if is_too_late else evidence.intent.text


def _judge(
    launched: Launched, folder: Folder, evidence: Evidence, intent: str, code: int | None, usage: Usage | None
) -> tuple[Status, str | None]:
    """The status and the reason for it."""
    if intent == KILLED:
        return "killed", None
    if intent.startswith(STOPPED):
        return "killed", _stopped(launched, intent)
    if words := _not_best(launched, intent):
        return "killed", f"{words}: {intent.split()[-1]} at half time"
    if intent.startswith(OVER_MEMORY):
        taken = "".join(intent.split()[1:2])
        more = f": {size_in_words(int(taken))}" if taken.isdecimal() else ""
        return "failed", f"over its memory limit of {size_in_words(launched.memory)}{more}"
    if intent.startswith(DEPENDENCY):
        return "failed", _unmet(launched, intent)
    if intent:
        return "failed", "timed out" if launched.timeout is None else f"timed out after {launched.timeout:g} s"
    if evidence.exit and code is None:
        return "unknown", "the record of its end can't be read"
    if code is None and launched.damaged:
        return "unknown", launched.damaged
    if code is None:
        return "failed", LOST if evidence.start else NEVER_BEGAN
    if evidence.start is None or evidence.start.failed:  # then the shell's last words are why
        return "failed", outputs.last_line(folder.output("stderr"))
    return ("failed" if code else "completed"), _ended_by(code, usage)


def _bound_met(launched: Launched, intent: str) -> tuple[str | None, str]:
    """Which of its bounds was met, if it was ended for that, and by which value."""
    kind, number, value = [*intent.split(), "", "", ""][:3]
    is_known = kind == STOPPED and number.isdecimal() and int(number) < len(launched.stop_when)
    return (launched.stop_when[int(number)] if is_known else None), value


def _stopped(launched: Launched, intent: str) -> str:
    bound, value = _bound_met(launched, intent)
    return f"stopped when {bound}: {parse_bound(bound).metric} was {value}" if bound else "stopped by a bound"


def _not_best(launched: Launched, intent: str) -> str | None:
    """Among which of its sweep it was not at half time, if it was ended for that."""
    if not intent.startswith(NOT_BEST) or launched.keep_best is None:
        return None
    return f"not among the {parse_keep_best(launched.keep_best).in_words}"


def _unmet(launched: Launched, intent: str) -> str:
    """Which of those that it comes after has not completed."""
    _, process_id, status = [*intent.split(), "", ""][:3]
    how = status if status in ("failed", "killed") else "of unknown end"
    return f"dependency {launched.after.get(process_id, process_id)} {how}"


def _ended_by(code: int, usage: Usage | None) -> str | None:
    """Which signal ended it, which nobody here has sent."""
    if code == KILLED_CODE:
        peak = usage.peak_memory_bytes if usage else None
        return OUT_OF_MEMORY.format(at=f" at {size_in_words(peak)} of {size_in_words(_memory())}" if peak else "")
    name = signal_name(code)
    return f"killed by {name}" if name else None


def _memory() -> int:
    """The memory of this machine, in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
