"""What the environment says, read once into one frozen value that is passed down.

| variable | means | default |
|---|---|---|
| HOPX_STATE_DIR | folder of the local agents: their processes, output and tokens | the user's state folder |
| HOPX_MAX_RUNNING | processes that the local agent runs at once; more are queued | twice the cores, at least 4 |
| HOPX_KEEP_FINISHED | finished processes that it keeps, and a Ray head of ours | 1000 |
| HOPX_HOLD_SECONDS | for which it keeps more than those, after they were first listed | 60 |
| HOPX_KEEP_MB | output of finished processes that it keeps, in MB | 5000 |
| HOPX_OUTPUT_LIMIT_MB | output that it keeps of one stream of one process, head and tail, in MB | 1000 |
| HOPX_IDLE_SECONDS | after which it ends itself with nothing running and nobody asking | 1800 |
| HOPX_KILL_GRACE_SECONDS | between the request to end and the forced end of a process | 5 |
| HOPX_GPUS | the GPUs that the local agent hands out, as CUDA names them: 0,1,2 | CUDA_VISIBLE_DEVICES, or all |
| HOPX_CALLBACK_RETRY_SECONDS | until its first try again to deliver a callback; then the double, and so on | 2 |
| HOPX_REPLY_SECONDS | without an answer, after which an agent counts as hanging; the local one has 5 to list | 30 |
| HOPX_RETRY_SECONDS | within which a request that only reads is tried again | 10 |
| HOPX_HISTORY | the file of the run history | in the user's data folder |
| HOPX_HISTORY_RUNS | runs that it keeps | 1000000 |
| HOPX_HISTORY_MB | output of ended runs that it keeps, in MB | 5000 |
| HOPX_HISTORY_STREAM_MB | output that it keeps of one stream of one run, in MB; ten times that of its displays | 1 |
| HOPX_MAX_REPLY_MB | the largest reply that the client reads, in MB, decompressed | 512 |
| HOPX_BASE_URL | HopX's control plane | https://api.hopx.dev |
| HOPX_SSH | the command that is OpenSSH's client, with options if need be | ssh |
"""

import hashlib
import os
import shlex
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

MB = 1_000_000

VARIABLES = (
    *("HOPX_STATE_DIR", "HOPX_MAX_RUNNING", "HOPX_KEEP_FINISHED", "HOPX_HOLD_SECONDS", "HOPX_KEEP_MB"),
    *("HOPX_OUTPUT_LIMIT_MB", "HOPX_IDLE_SECONDS", "HOPX_KILL_GRACE_SECONDS", "HOPX_GPUS"),
    *("HOPX_CALLBACK_RETRY_SECONDS", "HOPX_REPLY_SECONDS", "HOPX_RETRY_SECONDS", "HOPX_HISTORY", "HOPX_HISTORY_RUNS"),
    *("HOPX_HISTORY_MB", "HOPX_HISTORY_STREAM_MB", "HOPX_MAX_REPLY_MB", "HOPX_BASE_URL", "HOPX_SSH"),
)
"""The names of these variables, in this order."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings. Sizes are in bytes, times in seconds."""

    agent_folder: Path
    max_running: int
    keep_finished: int
    hold_time: float
    keep_bytes: int
    output_limit: int
    idle_time: float
    kill_grace: float
    gpus: str | None = None
    callback_retry: float
    reply_time: float
    retry_time: float
    max_reply: int
    base_url: str
    ssh: tuple[str, ...] = ("ssh",)
    history_file: Path
    history_runs: int
    history_bytes: int
    history_stream: int

    @property
    def state_folder(self) -> Path:
        """The folder of all local agents of this user, and of what else lives no longer than programs."""
        return self.agent_folder.parent.parent

    @property
    def history_key(self) -> Path:
        """The file of the key by which the history knows again what this user's agents have told it."""
        return self.agent_folder.parent.with_name("history.key")


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this environment. Raises ValueError that names the variable whose value can't be used."""

    def number(name: str, default: float, *, least: float = 0.0) -> float:
        text = environ.get(name, "").strip()
        try:
            value = float(text or default)
        except ValueError:
            value = -1.0
        if not least <= value < float("inf"):
            raise ValueError(f"{name}={text!r} is not a number of {least:g} or more")
        return value

    return Settings(
        agent_folder=_state_folder(environ) / "agents" / _environment_name(),
        max_running=max(1, int(number("HOPX_MAX_RUNNING", max(4, 2 * (os.cpu_count() or 1))))),
        keep_finished=int(number("HOPX_KEEP_FINISHED", 1000)),
        hold_time=number("HOPX_HOLD_SECONDS", 60),
        keep_bytes=int(number("HOPX_KEEP_MB", 5000) * MB),
        output_limit=int(number("HOPX_OUTPUT_LIMIT_MB", 1000) * MB),
        idle_time=number("HOPX_IDLE_SECONDS", 1800),
        kill_grace=number("HOPX_KILL_GRACE_SECONDS", 5),
        gpus=next((environ[name] for name in ("HOPX_GPUS", "CUDA_VISIBLE_DEVICES") if name in environ), None),
        callback_retry=number("HOPX_CALLBACK_RETRY_SECONDS", 2, least=0.01),
        reply_time=number("HOPX_REPLY_SECONDS", 30, least=0.1),
        retry_time=number("HOPX_RETRY_SECONDS", 10),
        max_reply=int(number("HOPX_MAX_REPLY_MB", 512, least=0.1) * MB),
        base_url=environ.get("HOPX_BASE_URL", "").strip() or "https://api.hopx.dev",
        ssh=tuple(shlex.split(environ.get("HOPX_SSH", ""))) or ("ssh",),
        history_file=_history_file(environ),
        history_runs=int(number("HOPX_HISTORY_RUNS", 1_000_000)),
        history_bytes=int(number("HOPX_HISTORY_MB", 5000) * MB),
        history_stream=int(number("HOPX_HISTORY_STREAM_MB", 1) * MB),
    )


def _state_folder(environ: Mapping[str, str]) -> Path:
    if folder := _path(environ, "HOPX_STATE_DIR"):
        return folder
    from platformdirs import user_state_path  # costs 10 ms, and a folder that is set needs none of it

    return user_state_path("hopx_magics", appauthor=False)


def _history_file(environ: Mapping[str, str]) -> Path:
    if file := _path(environ, "HOPX_HISTORY"):
        return file
    from platformdirs import user_data_path

    return user_data_path("hopx_magics", appauthor=False) / "history.sqlite"


def is_private(folder: Path) -> bool:
    """Whether a folder is this user's alone, so that nobody else can have put something there."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & 0o077


def _path(environ: Mapping[str, str], name: str) -> Path | None:
    text = environ.get(name)
    try:
        return Path(text).expanduser().absolute() if text else None
    except RuntimeError as error:
        raise ValueError(f"{name}={text!r} can't be used: {error}") from None


def _environment_name() -> str:
    """One name for each Python environment of this user, readable and without collisions."""
    prefix = Path(sys.prefix).resolve()
    return f"{prefix.name.lstrip('.')}-{hashlib.sha256(bytes(prefix)).hexdigest()[:8]}"
