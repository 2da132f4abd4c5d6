"""Finds the API key where HopX's own tools leave it."""

import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..errors import CredentialsError
from ..output.oneline import printable

KEYRING_SERVICE = "hopx-cli"

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_KEY = re.compile(r"[!-~]+")


class ApiKey(msgspec.Struct, frozen=True):
    """The key for HopX's control plane, and where it was found."""

    value: str
    source: str

    def __repr__(self) -> str:
        return f"ApiKey(source={self.source!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:  # msgspec's own would show the value
        return [("source", self.source)]


def find_api_key(environ: Mapping[str, str], home: Path) -> ApiKey | None:
    """The API key of this user, or None when there is none.

    Looked for in the variable HOPX_API_KEY, in `~/.hopx/config.yaml`, in the system's keyring when the library
    `keyring` is installed, which may ask the user to unlock it, and in `~/.hopx/credentials.yaml`; the last three have
    one for each profile, of which HOPX_PROFILE names one.

    Raises CredentialsError for a file that can't be read, and for a key that no header can carry.
    """
    folder = home / ".hopx"
    variable = environ.get("HOPX_API_KEY", "").strip()
    if variable:
        return _checked(variable, "HOPX_API_KEY")
    profiles, default = _profiles(folder / "config.yaml")
    profile = environ.get("HOPX_PROFILE", "").strip() or default
    return (
        _key_in(profiles, profile, environ, folder / "config.yaml")
        or _key_in_keyring(profile)
        or _key_in(_read_yaml(folder / "credentials.yaml"), profile, environ, folder / "credentials.yaml")
    )


def _profiles(file: Path) -> tuple[dict[str, Any], str]:
    """The profiles in a configuration of either shape, and the name of the one that is meant by default."""
    content = _read_yaml(file)
    profiles = content.get("profiles")
    default = content.get("default_profile")
    return (
        _by_name(profiles) if isinstance(profiles, dict) else content,
        str(default) if isinstance(default, str | int) else "default",
    )


def _key_in(profiles: Mapping[str, Any], profile: str, environ: Mapping[str, str], file: Path) -> ApiKey | None:
    """The key of a profile, with each `${VAR}` in it replaced by the variable; None when there is no such variable."""
    values = profiles.get(profile)
    text = values.get("api_key") if isinstance(values, dict) else None
    if not isinstance(text, str) or any(not environ.get(name) for name in _VARIABLE.findall(text)):
        return None
    key = _VARIABLE.sub(lambda match: environ[match[1]], text).strip()
    return _checked(key, f"{file}, profile {printable(profile, 60)!r}") if key else None


def _key_in_keyring(profile: str) -> ApiKey | None:
    try:
        keyring = importlib.import_module("keyring")
        key = keyring.get_password(KEYRING_SERVICE, f"{profile}:api_key")
    except Exception:  # each of its backends has errors of its own; a keyring that can't be read has no key for us
        return None
    return _checked(key, f"the system's keyring, profile {printable(profile, 60)!r}") if key else None


def _checked(key: str, source: str) -> ApiKey:
    if not _KEY.fullmatch(key):
        raise CredentialsError(
            f"the API key in {source} has characters that no key has: a space, a line end?",
            hint="Set HOPX_API_KEY to the key as HopX shows it.",
        )
    return ApiKey(key, source)


def _read_yaml(file: Path) -> dict[str, Any]:
    """What is in the file, which is empty when there is none."""
    import yaml  # type: ignore[import-untyped]

    try:
        content = yaml.safe_load(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise _unreadable(file, error.strerror or "it can't be opened") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # whose texts quote what is in the file
        mark = getattr(error, "problem_mark", None)
        raise _unreadable(file, f"it is no YAML from line {mark.line + 1} on" if mark else "it is no YAML") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise _unreadable(file, "it has no profiles")
    return _by_name(content)


def _by_name(content: dict[Any, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in content.items()}  # YAML takes a profile `2024` for a number


def _unreadable(file: Path, reason: str) -> CredentialsError:
    return CredentialsError(
        f"{printable(str(file))} can't be used: {reason}",
        hint="Mend or remove the file, or set HOPX_API_KEY, which is looked at first.",
    )
