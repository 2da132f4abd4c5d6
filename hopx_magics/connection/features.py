"""What a connection can do: how its agent tells that, and what of it launches need."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from ..client.files import Files
from ..errors import AgentUnreachable, HopxError, LaunchError, NotSupported
from ..models import Launch
from ..protocol.requests import FORK
from ..words import Feature

if TYPE_CHECKING:
    from .connection import Connection

_TOLD_BY: dict[Feature, str] = {
    "ranges": "range",
    "changes": "delta",
    "queue": "queue",
    "resources": "queue",
    "leftovers": "leftovers",
    "notices": "notices",
    "bounds": "stop-when",
}
"""By which words in its `/info` an agent tells that it can do something."""


def features_of(connection: "Connection") -> frozenset[Feature]:
    """What it can do, as its agent tells. One that does not answer can as little as any."""
    told = connection.agent.features()
    able: set[Feature] = {"streams", "kill"}
    able |= {feature for feature, needed in _TOLD_BY.items() if needed in told}
    if connection.decided_capture() == "files":  # of which any part can be read
        able.add("ranges")
    if _serves_files(connection.files):
        able |= {"files", "values"}
    return frozenset(able)


def _serves_files(files: Files) -> bool:
    try:
        files.list()
    except (NotSupported, AgentUnreachable):
        return False
    except HopxError:  # of this folder
        return True
    return True


_OURS = "The agents of this machine and of those reached by ssh can: launch with --on local, or"

_NEEDS = {
    "leftovers": ("can't kill what a run leaves running ({})", "let the cell end what it starts."),
    "notices": (
        "tells nobody how a run has ended ({})",
        "let the browser tell while it is open: %hopx_watch --notify.",
    ),
    "stop-when": ("can't stop a run by what it prints ({})", "let the cell end itself."),
    "queue": ("has no queue in which {} would mean something", "wait with %hopx_wait before."),
    FORK: ("knows no forks ({})", "without it: variables travel by copy then."),
}
"""What an agent has to say of itself for some options, what is wrong where it doesn't, and what one does instead."""


def needed_features(launch: Launch) -> dict[str, list[str]]:
    """What an agent has to say of itself for a launch, and for which options."""
    given: dict[str, dict[str, object]] = {
        FORK: {"--fork": launch.fork},
        "leftovers": {"--kill-leftovers": launch.kill_leftovers},
        "notices": {"--notify": launch.notify},
        "stop-when": {"--stop-when": launch.stop_when, "--keep-best": launch.keep_best},
        "queue": {
            "--first": launch.first,
            "--after": launch.after,
            "--after-any": launch.after_any,
            "--retry": launch.retries,
            "--gpus": launch.gpus,
            "--cpus": launch.cpus,
            "--memory": launch.memory,
        },
    }
    needed = {feature: [name for name, value in options.items() if value] for feature, options in given.items()}
    return {feature: options for feature, options in needed.items() if options}


def check_features(needed: Mapping[str, list[str]], features: Collection[str], place: str) -> None:
    """Raises LaunchError for what an agent can't do; `place` is the name of the connection."""
    for feature, options in needed.items():
        if feature not in features:
            lack, instead = _NEEDS[feature]
            raise LaunchError(f"{place} {lack.format(' and '.join(options))}", hint=f"{_OURS} {instead}")
