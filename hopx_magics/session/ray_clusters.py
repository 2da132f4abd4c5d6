"""From the address of a Ray head to the connection to its cluster."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ..client.transport import Endpoint, is_loopback, well_formed_url
from ..errors import InsecureConnection
from ..output.oneline import printable

SCHEME = "ray "
"""What the target of a connection to a Ray cluster begins with; the address of its dashboard is behind it."""


class RayOptions(msgspec.Struct, frozen=True):
    """How to connect to a Ray cluster: see `hopx_magics.connect`."""

    insecure: bool = False
    pip: tuple[str, ...] = ()
    env_file: str | None = None


def ray_url(target: str, *, insecure: bool) -> str:
    """The URL of a dashboard. Raises ValueError, and InsecureConnection for http to another machine unless wanted."""
    try:
        url = well_formed_url(target.removeprefix(SCHEME))
    except ValueError as error:
        raise ValueError(
            f"{error}\nA Ray cluster is reached by its dashboard: %hopx_connect ray http://HEAD:8265"
        ) from None
    parts = urlsplit(url)
    if parts.scheme == "http" and not insecure and not is_loopback(parts.hostname or ""):
        host = printable(parts.hostname or "", 100)
        raise InsecureConnection(
            f"http://{host} is not on this machine: whoever is on the way there can read and change what runs, and "
            "whoever reaches that port can run code",
            hint=f"Use https, or ssh -N -L 8265:127.0.0.1:{parts.port or 8265} {host} and http://127.0.0.1:8265, or "
            "--insecure in a network that you trust.",
        )
    return url


def ray_endpoint(url: str, environment: Mapping[str, str]) -> Endpoint:
    """Where a head is, with the token and the headers that Ray's own programs would send it. Raises ValueError."""
    return Endpoint(
        url,
        _token(environment),
        headers=_headers(environment),
        refuses_by_403=True,
        called="token of Ray",
        when_refused="Set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH, or RAY_JOB_HEADERS for what stands before the head.",
    )


def _token(environment: Mapping[str, str]) -> str | None:
    """The token, from where Ray itself looks for it. Raises ValueError."""
    if token := environment.get("RAY_AUTH_TOKEN", "").strip():
        return token
    path = environment.get("RAY_AUTH_TOKEN_PATH")
    if not path and environment.get("RAY_AUTH_MODE", "").lower() != "token":
        return None
    try:
        return Path(path or "~/.ray/auth_token").expanduser().read_text().strip() or None
    except (OSError, UnicodeDecodeError) as error:
        if path:
            raise ValueError(f"the token in RAY_AUTH_TOKEN_PATH can't be read: {type(error).__name__}") from None
        return None


def _headers(environment: Mapping[str, str]) -> dict[str, str]:
    text = environment.get("RAY_JOB_HEADERS", "").strip()
    try:
        headers = json.loads(text or "{}")
    except ValueError:
        headers = None
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise ValueError('RAY_JOB_HEADERS is no JSON object of texts: {"Name": "value"}')
    return headers


def runtime_env(options: RayOptions) -> dict[str, Any]:
    """What all runs of a connection have on the cluster, in Ray's own words. Raises ValueError."""
    told = _read(options.env_file) if options.env_file else {}
    if options.pip and ("pip" in told or "uv" in told or "conda" in told):
        raise ValueError(f"--pip, and packages in {options.env_file}: use one of them")
    return {**told, **({"pip": list(options.pip)} if options.pip else {})}


def _read(file: str) -> dict[str, Any]:
    import yaml  # type: ignore[import-untyped]

    try:
        told = yaml.safe_load(Path(file).expanduser().read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} can't be read: {getattr(error, 'strerror', None) or 'it is no text'}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{file} is no YAML: {printable(str(error), 200)}") from None
    if not isinstance(told, dict) or not all(isinstance(key, str) for key in told):
        raise ValueError(f"{file} is no runtime_env of Ray: it begins with lines like  pip: [numpy]  or  env_vars:")
    for key in ("working_dir", "py_modules"):
        values = told.get(key, [])
        for value in values if isinstance(values, list) else [values]:
            if "://" not in str(value):
                raise ValueError(f"{key} in {file} names {printable(str(value), 60)!r}: Ray takes only URIs here")
    return told
