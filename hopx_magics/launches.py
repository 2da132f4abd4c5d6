"""From what a user gives to a launch that can be sent."""

import re
import secrets
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import msgspec

from .durations import parse_limit
from .errors import CodeError
from .models import Callback, Launch, RunId
from .output import printable
from .params import checked_params, combinations
from .words import CAPTURES, LANGUAGE_ALIASES, LANGUAGES, Capture, Language


class LaunchOptions(TypedDict, total=False):
    """What can be said of a launch besides its code. `timeout` is in seconds or a text like `2h`, None is no limit."""

    language: str
    name: str | None
    timeout: str | float | None
    env: Mapping[str, str] | None
    workdir: str | None
    params: Mapping[str, Any] | None
    tags: Mapping[str, str] | None
    rerun_of: RunId | None
    callback: Callback | None
    capture: Capture


def checked_launch(
    code: str,
    *,
    language: str = "python",
    name: str | None = None,
    timeout: str | float | None = None,
    env: Mapping[str, str] | None = None,
    workdir: str | None = None,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    rerun_of: RunId | None = None,
    callback: Callback | None = None,
    capture: Capture = "auto",
) -> Launch:
    """The launch that these arguments describe, with a mark of its own. Raises ValueError and CodeError."""
    if not code.strip():
        raise ValueError("there is no code to launch")
    spoken = checked_language(language)
    if spoken == "python":
        _compile(code)
    limit = parse_limit(timeout)
    return Launch(
        code=code,
        run_id=_new_run_id(),
        language=spoken,
        name=printable(name) or None if name else None,
        timeout=None if limit is None else max(1, round(limit)),
        env=_checked_env(env or {}),
        workdir=workdir,
        params=checked_params(params or {}, spoken),
        tags=_checked_tags(tags or {}),
        rerun_of=rerun_of,
        callback=callback,
        capture=_checked_capture(capture),
    )


def checked_sweep(launch: Launch, sweeps: Mapping[str, Sequence[Any]], *, limit: int | None = None) -> list[Launch]:
    """A launch with every combination of these values, all of one sweep. Raises ValueError."""
    if limit is not None and limit < 1:
        raise ValueError(f"a limit of {limit} running at once can't be: use 1 or more")
    sweep_id = secrets.token_hex(4)
    return [
        msgspec.structs.replace(
            launch,
            run_id=_new_run_id(),
            params=checked_params(params, launch.language),
            sweep_id=sweep_id,
            limit=limit,
        )
        for params in combinations(sweeps, launch.params)
    ]


def checked_copies(launch: Launch, count: int) -> list[Launch]:
    """The same launch so many times, as one sweep."""
    sweep_id = secrets.token_hex(4)
    return [msgspec.structs.replace(launch, run_id=_new_run_id(), sweep_id=sweep_id) for _ in range(count)]


def _checked_capture(word: str) -> Capture:
    for known in CAPTURES:
        if known == word:
            return known
    raise ValueError(f"output can't be captured by {word!r}: use {', '.join(CAPTURES)}")


def _new_run_id() -> RunId:
    return RunId(secrets.token_hex(8))


def checked_language(language: str) -> Language:
    """The language of that name or alias. Raises ValueError that names all of them."""
    word = language.strip().lower()
    spoken = LANGUAGE_ALIASES.get(word, word)
    for known in LANGUAGES:
        if known == spoken:
            return known
    raise ValueError(f"no agent runs {language!r}: use {', '.join(LANGUAGES)}")


def _compile(code: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the process itself will show them
            compile(code, "<cell>", "exec", dont_inherit=True)
    except SyntaxError as error:
        raise CodeError(error, hint=_hint(code, error)) from error
    except (ValueError, MemoryError, RecursionError, OverflowError) as error:  # a NUL, or a nesting too deep
        raise CodeError(SyntaxError(f"it can't be compiled: {error or type(error).__name__}")) from error


def _hint(code: str, error: SyntaxError) -> str | None:
    is_ipython = any(line.lstrip().startswith(("%", "!")) for line in code.splitlines())
    if is_ipython or "await" in str(error):
        return "A background cell is plain Python: %magics, !commands and top-level await don't work in it."
    return None


def _checked_env(env: Mapping[str, str]) -> dict[str, str]:
    for name, value in env.items():
        if not name or "=" in name or "\0" in name + str(value):
            raise ValueError(f"{name!r} can't be an environment variable: use NAME=VALUE")
    return {name: str(value) for name, value in env.items()}


_TAG = re.compile(r"[^\W\d][\w.-]*")


def _checked_tags(tags: Mapping[str, str]) -> dict[str, str]:
    for name in tags:
        if not _TAG.fullmatch(name):
            raise ValueError(f"{printable(name, 60)!r} can't be the name of a tag: use letters, digits, and . _ -")
    return {name: printable(str(value)) for name, value in tags.items()}
