"""From what a user gives to a launch that can be sent."""

import secrets
from collections.abc import Mapping

from ..durations import parse_limit
from ..errors import CodeError
from ..models import LANGUAGE_ALIASES, LANGUAGES, Language, Launch, RunId
from ..output import printable

NAME_LENGTH = 200


def checked_launch(
    code: str,
    *,
    language: str = "python",
    name: str | None = None,
    timeout: str | float | None = None,
    env: Mapping[str, str] | None = None,
    workdir: str | None = None,
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
        run_id=RunId(secrets.token_hex(8)),
        language=spoken,
        name=printable(name, NAME_LENGTH) or None if name else None,
        timeout=None if limit is None else max(1, round(limit)),
        env=_checked_env(env or {}),
        workdir=workdir,
    )


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
        compile(code, "<cell>", "exec", dont_inherit=True)
    except SyntaxError as error:
        raise CodeError(error) from error
    except ValueError as error:  # a NUL in the code
        raise CodeError(SyntaxError(str(error))) from error


def _checked_env(env: Mapping[str, str]) -> dict[str, str]:
    for name, value in env.items():
        if not name or "=" in name or "\0" in name + str(value):
            raise ValueError(f"{name!r} can't be an environment variable: use NAME=VALUE")
    return {name: str(value) for name, value in env.items()}
