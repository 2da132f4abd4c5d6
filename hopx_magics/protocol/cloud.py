"""The control plane's wire: what is asked about sandboxes, and what the replies mean. Pure functions on bytes.

Most replies have a sandbox's token in them, so that no error shows any part of one.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec

from ..errors import BadReply
from ..models import AccessToken, Sandbox
from ..words import SANDBOX_STATUSES, SandboxStatus
from .fields import Body, first, load_json, read_count, read_text, read_time

SANDBOXES = "/v1/sandboxes"

PAGE = 100
"""Sandboxes in one page of the list: the most that all sources allow."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_TOKEN = re.compile(r"[!-~]+")


class SandboxPage(msgspec.Struct, frozen=True):
    """One page of the list of sandboxes; with `cursor` the next one is asked for, None at the end."""

    sandboxes: tuple[Sandbox, ...]
    cursor: str | None = None


def sandbox_path(sandbox_id: str) -> str:
    """The path of one sandbox. Raises ValueError for what can't be the id of one."""
    if not _ID.fullmatch(sandbox_id):
        raise ValueError(f"{sandbox_id!r} is not the id of a sandbox: use one like '1763385739w4r6dokq'")
    return f"{SANDBOXES}/{quote(sandbox_id, safe='')}"


def creation_body(template: str, timeout: int | None, env: Mapping[str, str] | None, region: str | None) -> bytes:
    """The body that creates a sandbox from a template, which is named, or numbered when it is all digits."""
    return msgspec.json.encode(
        {
            ("template_id" if template.isdecimal() else "template_name"): template,
            **({"timeout_seconds": timeout} if timeout is not None else {}),
            **({"env_vars": dict(env)} if env else {}),
            **({"region": region} if region else {}),
        }
    )


def timeout_body(seconds: int) -> bytes:
    """The body that lets a sandbox expire so many seconds from now."""
    return msgspec.json.encode({"timeout_seconds": seconds})


def decode_sandboxes(body: Body, *, agent: str) -> SandboxPage:
    """The reply to `GET /v1/sandboxes`. Raises BadReply when it is no list of sandboxes."""
    content = _read_json(body, agent)
    page: dict[str, Any] = {"data": content} if isinstance(content, list) else content
    if isinstance(page, dict) and "data" in page:
        rows = page["data"] or []
        if isinstance(rows, list):
            cursor = first(read_text, page, "next_cursor") if page.get("has_more") is not False else None
            return SandboxPage(tuple(_read_sandbox(row) for row in rows if isinstance(row, dict)), cursor)
    raise BadReply("its reply is no list of sandboxes", agent=agent)


def decode_sandbox(body: Body, *, agent: str) -> Sandbox:
    """A reply that describes one sandbox. Raises BadReply when it names none."""
    content = _read_json(body, agent)
    if isinstance(content, dict):
        sandbox = _read_sandbox(content)
        if sandbox.sandbox_id:
            return sandbox
    raise BadReply("its reply names no sandbox", agent=agent)


def decode_token(body: Body, *, agent: str) -> AccessToken:
    """The reply to the refreshing of a token. Raises BadReply when there is none in it that can be sent."""
    content = _read_json(body, agent)
    value = content.get("auth_token") if isinstance(content, dict) else None
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise BadReply("its reply has no token for the sandbox", agent=agent)
    return AccessToken(value, read_time(content.get("token_expires_at")))


def decode_expiry(body: Body, *, agent: str) -> datetime | None:
    """When the sandbox expires, from the reply to its new time limit; None when it doesn't say so."""
    content = _read_json(body, agent)
    return read_time(content.get("expires_at")) if isinstance(content, dict) else None


def _read_json(body: Body, agent: str) -> Any:
    text = body.decode("utf-8-sig", "replace")
    if text.lstrip()[:1] == "<":
        raise BadReply("it answered with a web page", agent=agent)
    try:
        return load_json(text)
    except (ValueError, RecursionError):
        raise BadReply(f"its reply of {len(body):,} bytes is no JSON, or was cut short", agent=agent) from None


def _read_sandbox(row: dict[str, Any]) -> Sandbox:
    resources = row.get("resources")
    sizes: dict[str, Any] = resources if isinstance(resources, dict) else {}
    disk_gb = read_count(sizes.get("disk_gb"))
    status, detail = _read_status(row.get("status"))
    return Sandbox(
        sandbox_id=first(read_text, row, "id", "sandbox_id") or "",
        status=status,
        status_detail=detail,
        template=first(read_text, row, "template_name", "template_id"),
        region=first(read_text, row, "region"),
        url=_read_url(row),
        vcpu=read_count(sizes.get("vcpu")),
        memory_mb=read_count(sizes.get("memory_mb")),
        disk_mb=first(read_count, sizes, "disk_mb") or (disk_gb * 1024 if disk_gb else None),
        created_at=first(read_time, row, "created_at", "started_at"),
        expires_at=first(read_time, row, "expires_at", "end_at"),
    )


def _read_status(word: Any) -> tuple[SandboxStatus, str | None]:
    text = (read_text(word) or "").strip()
    for status in SANDBOX_STATUSES:
        if text.lower() == status:
            return status, None
    return "unknown", text or None


def _read_url(row: dict[str, Any]) -> str | None:
    host = (first(read_text, row, "public_host", "direct_url") or "").strip().rstrip("/")
    if not host:
        return None
    return host if "://" in host else f"https://{host}"
