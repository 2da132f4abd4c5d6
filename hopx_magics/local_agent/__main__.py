"""Starts the local agent: `python -m hopx_magics.local_agent`. One agent serves a state folder; a second one leaves."""

import argparse
import sys
from pathlib import Path

import msgspec

from ..settings import MB, Settings, read_settings


def main(arguments: list[str] | None = None) -> int:
    """Runs the agent until it is told to end or nobody needs it. Returns the exit code."""
    if sys.platform == "win32":
        print("the local agent isn't available on Windows: use it inside WSL", file=sys.stderr)  # noqa: T201
        return 2
    try:
        settings, port = _parse(arguments)
    except ValueError as error:
        print(f"the local agent can't start: {error}", file=sys.stderr)  # noqa: T201
        return 2
    from .serve import run  # what it imports isn't there on Windows

    return run(settings, port)


def _parse(arguments: list[str] | None) -> tuple[Settings, int]:
    defaults = read_settings()
    parser = argparse.ArgumentParser(
        "python -m hopx_magics.local_agent", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    flag = parser.add_argument
    flag("--state-dir", type=Path, metavar="DIR", default=defaults.agent_folder, help="the agent's folder")
    flag("--port", type=_natural, default=0, help="0 for a free one")
    flag("--max-running", type=_natural, default=defaults.max_running, help="more processes are queued")
    flag("--keep-finished", type=_natural, default=defaults.keep_finished, help="finished processes that are kept")
    flag("--keep-mb", type=_amount, default=defaults.keep_bytes / MB, help="output of finished processes that is kept")
    flag("--output-limit-mb", type=_amount, default=defaults.output_limit / MB, help="output kept of one stream")
    flag(
        "--idle-seconds", type=_amount, default=defaults.idle_time, help="ends itself after so long with nothing to do"
    )
    flag("--kill-grace-seconds", type=_amount, default=defaults.kill_grace, help="from TERM to KILL")
    given = parser.parse_args(arguments)
    settings = msgspec.structs.replace(
        defaults,
        agent_folder=given.state_dir.expanduser().absolute(),
        max_running=max(1, given.max_running),
        keep_finished=given.keep_finished,
        keep_bytes=int(given.keep_mb * MB),
        output_limit=int(given.output_limit_mb * MB),
        idle_time=given.idle_seconds,
        kill_grace=given.kill_grace_seconds,
    )
    return settings, given.port


def _natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def _amount(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise ValueError(text)
    return number


if __name__ == "__main__":
    sys.exit(main())
