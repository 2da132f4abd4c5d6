"""Processes in words and in HTML. All that comes from agents is escaped and made printable."""

import html
from collections.abc import Iterable

from ..durations import format_duration
from ..models import STATUSES, Process, Status
from ..output import as_plain, printable

ICONS: dict[Status, str] = {
    "queued": "◌",
    "running": "▸",
    "completed": "✓",
    "failed": "✗",
    "killed": "■",
    "unknown": "?",
}

# JupyterLab's own colours follow its theme; the second ones are for pages without them, light and dark.
COLOURS: dict[Status, str] = {
    "queued": "var(--jp-ui-font-color2, #808080)",
    "running": "var(--jp-info-color1, #1e88e5)",
    "completed": "var(--jp-success-color1, #2e9d4c)",
    "failed": "var(--jp-error-color1, #d84343)",
    "killed": "var(--jp-warn-color1, #d07a00)",
    "unknown": "var(--jp-ui-font-color2, #808080)",
}


def state_in_words(process: Process) -> str:
    """The state with its time and reason: `running for 12 s`, `failed after 3 s, exit 1`."""
    span = None if process.execution_time is None else format_duration(process.execution_time)
    words = {"running": "running for", "completed": "completed in", "failed": "failed after", "killed": "killed after"}
    state = f"{words[process.status]} {span}" if span and process.status in words else process.status
    if process.status == "failed" and process.exit_code is not None:
        state += f", exit {process.exit_code}"
    return f"{state} ({printable(process.status_detail, 100)})" if process.status_detail else state


def run_in_words(process: Process, connection: str) -> str:
    """One line: name, id, connection and state."""
    name = f"{printable(process.name, 60)} " if process.name else ""
    return f"{name}{printable(process.process_id, 60)} on {printable(connection, 40)}: {state_in_words(process)}"


def run_line(process: Process, connection: str, *, below: str = "") -> str:
    """One line of HTML: icon and word of the status, name, id and connection; `below` it more text, such as errors."""
    status = process.status
    title = html.escape(printable(process.name, 60)) if process.name else "unnamed"
    place = html.escape(f"{printable(process.process_id, 60)} on {printable(connection, 40)}")
    line = (
        f'<span style="color:{COLOURS[status]};font-weight:600">{ICONS[status]} '
        f"{html.escape(state_in_words(process))}</span> "
        f'<b>{title}</b> <span style="opacity:.65;font-family:monospace;font-size:90%">{place}</span>'
    )
    text = html.escape(as_plain(below).strip("\n"))
    rest = f'<pre style="margin:.3em 0 0 1.4em;white-space:pre-wrap">{text}</pre>' if text else ""
    return f'<div class="hopx-run" role="status">{line}{rest}</div>'


def counts_in_words(processes: Iterable[Process], total: int) -> str:
    """How far waiting has come: `2 of 3 ended: 1 completed, 1 failed, 1 running`."""
    statuses = [process.status for process in processes]
    ended = sum(process.ended for process in processes)
    counts = ", ".join(f"{statuses.count(status)} {status}" for status in STATUSES if status in statuses)
    return f"{ended} of {total} ended" + (f": {counts}" if counts else "")


def failure_in_words(process: Process, stderr: str) -> str:
    """How a run failed, with the end of its standard error below."""
    name = f"{printable(process.name, 60)} ({process.process_id})" if process.name else process.process_id
    end = as_plain(stderr).strip("\n")
    return f"{name} {state_in_words(process)}" + "".join(f"\n  {line}" for line in end.splitlines())
