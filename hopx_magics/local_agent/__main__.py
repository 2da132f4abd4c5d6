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
    parser = argparse.ArgumentParser(prog="python -m hopx_magics.local_agent", description=__doc__)
    option = parser.add_argument
    option("--state-dir", type=Path, metavar="DIR", help="the agent's folder (default: %(default)s)")
    option("--port", type=_natural, help="0 for a free one (default: %(default)s)")
    option("--max-running", type=_natural, help="more processes are queued (default: %(default)s)")
    option("--keep-finished", type=_natural, help="finished processes that are kept (default: %(default)s)")
    option("--keep-mb", type=_amount, help="output of finished processes that is kept (default: %(default)s)")
    option("--output-limit-mb", type=_amount, help="output of one stream that is kept (default: %(default)s)")
    option("--idle-seconds", type=_amount, help="ends itself after this time with nothing to do (default: %(default)s)")
    option("--kill-grace-seconds", type=_amount, help="from TERM to KILL (default: %(default)s)")
    parser.set_defaults(
        state_dir=defaults.agent_folder,
        port=0,
        max_running=defaults.max_running,
        keep_finished=defaults.keep_finished,
        keep_mb=defaults.keep_bytes / MB,
        output_limit_mb=defaults.output_limit / MB,
        idle_seconds=defaults.idle_time,
        kill_grace_seconds=defaults.kill_grace,
    )
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
