"""From what a folder tells to what the listing says: how a process ended, and why."""

from datetime import UTC, datetime

import msgspec

from ..models import STREAMS, Status
from . import outputs
from .journal import Ended, Row
from .store import KILLED, Evidence, Folder, Launched

KILLED_CODE = 137
"""The exit code of a process that was killed together with the shell that would have told it: 128 + SIGKILL."""

WHOLE_OUTPUT = 1024
"""Bytes of output up to which the row of a finished process keeps it, in memory and in the journal."""

LOST = "it ended without a record of how: it was killed from outside, or the machine was restarted"


def utc(nanoseconds: int | None) -> str | None:
    """The moment in RFC 3339, in UTC and with microseconds."""
    if nanoseconds is None:
        return None
    moment = datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC).replace(
        microsecond=nanoseconds // 1000 % 1_000_000
    )
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def never_started(evidence: Evidence) -> bool:
    """Whether the process certainly did not run and nobody decided that it never shall."""
    return not (evidence.alive or evidence.start or evidence.intent.text or evidence.exit.text)


def conclude(launched: Launched, folder: Folder, output_limit: int, *, observed: int | None = None) -> Ended:
    """How a process ended that isn't alive any more. `observed` is when that was seen, in nanoseconds."""
    for stream in STREAMS:
        outputs.cut(folder.output(stream), output_limit)
    evidence = folder.read_evidence()
    code = _exit_code(evidence)
    status, message = _judge(launched, folder, evidence, code)
    start = evidence.start
    ended = evidence.exit.time if evidence.exit.text else observed or max(folder.last_sign(), evidence.intent.time)
    if start is None and evidence.intent.text and not evidence.exit.text:
        ended = evidence.intent.time
    row = Row(
        process_id=launched.process_id,
        execution_id=launched.execution_id,
        name=launched.name,
        status=status,
        language=launched.language,
        started_at=utc(start.time if start else None),
        completed_at=utc(ended),
        exit_code=code,
        execution_time=max(0, ended - start.time) / 1e9 if start else None,
        pid=start.pid if start else None,
        message=message or msgspec.UNSET,
    )
    return _with_output(row, launched, folder, ended)


def _with_output(row: Row, launched: Launched, folder: Folder, ended: int) -> Ended:
    sizes = [outputs.size_of(folder.output(stream)) for stream in STREAMS]
    whole = sum(sizes) <= WHOLE_OUTPUT
    if whole:
        row.stdout, row.stderr = (outputs.read_end(folder.output(stream), WHOLE_OUTPUT).text for stream in STREAMS)
    return Ended(
        process_id=launched.process_id,
        status=row.status,
        sequence=launched.sequence,
        ended=ended,
        stdout_bytes=sizes[0],
        stderr_bytes=sizes[1],
        whole=whole,
        row=msgspec.Raw(msgspec.json.encode(row)),
        key=launched.key,
    )


def _exit_code(evidence: Evidence) -> int | None:
    try:
        return int(evidence.exit.text)
    except ValueError:
        return KILLED_CODE if evidence.intent.text and evidence.start else None


def _judge(launched: Launched, folder: Folder, evidence: Evidence, code: int | None) -> tuple[Status, str | None]:
    """The status and the reason for it. A reason that the user has to know becomes the last line of stderr, too."""
    intent = evidence.intent.text
    if evidence.exit.text and evidence.exit.time < evidence.intent.time:
        intent = ""  # it was faster than whoever wanted to end it
    if intent == KILLED:
        return "killed", None
    if intent:
        outputs.add_last_line(folder.output("stderr"), intent)
        return "failed", intent
    if evidence.exit.text and code is None:
        return "unknown", "the record of its end can't be read"
    if code is None:
        return ("unknown", launched.damaged) if launched.damaged else ("failed", LOST)
    if code == 0 and evidence.start:
        return "completed", None
    return "failed", _start_failure(folder, evidence, code)


def _start_failure(folder: Folder, evidence: Evidence, code: int) -> str | None:
    """Why the process could not start, if it could not: the shell's exit codes for that are 126 and 127."""
    if evidence.start and code not in (126, 127):
        return None
    line = outputs.last_line(folder.output("stderr"))
    return line if line.startswith("could not start") or not evidence.start else None
