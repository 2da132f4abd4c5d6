"""From a run in the history to a launch of the same code."""

from collections.abc import Mapping
from typing import Any

from ..errors import LaunchError
from ..launches import checked_launch
from ..models import KeptRun, Launch
from ..output import printable


def launch_again(
    kept: KeptRun,
    *,
    params: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    known_env: Mapping[str, str] | None = None,
) -> Launch:
    """The launch of a kept run, with some params and env variables replaced or added.

    The history has no values of env variables: they are those of `known_env`, or must be given.

    Raises LaunchError when something of the run is not known, ValueError for a param that can't be used.
    """
    if kept.code is None:
        raise LaunchError(
            f"the code of {kept.run_id} is not known: the history has not launched it, but found it in a listing",
            hint="Only what was launched with this history can be launched again.",
        )
    values = {**(known_env or {}), **(env or {})}
    missing = [name for name in kept.env_names if name not in values]
    if missing:
        raise LaunchError(
            f"{kept.run_id} was launched with the environment {', '.join(printable(name, 60) for name in missing)}, "
            "whose values are not kept",
            hint=f"Give them again: {' '.join(f'--env {printable(name, 60)}=...' for name in missing)}",
        )
    return checked_launch(
        kept.code,
        language=kept.language or "python",
        name=kept.name,
        timeout=kept.timeout,
        env=values,
        workdir=kept.workdir,
        params={**kept.params, **(params or {})},
        tags=kept.tags,
        rerun_of=kept.run_id,
    )
