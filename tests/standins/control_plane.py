"""A stand-in for HopX's control plane: a real server on loopback that behaves as the known facts say."""

import itertools
import json
import secrets
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from tests.standins.server import Answer, Asked, Server

KEY = "hopx_live_abcdefghijkl.c2VjcmV0LW9mLXRoZS1rZXk"

Row = dict[str, Any]


class ControlPlaneStandIn:
    """Sandboxes that are no more than rows, their tokens, and the answers about them.

    What a test may set, at any time: `accepts`, the headers in which the key is accepted; `page`, how many sandboxes
    the list has at once at most, and `has_cursors`, whether it says how to go on; `nested_errors`, the form of error
    replies; `token_life`, the seconds that new tokens live; `host`, the agent of sandboxes that are created, or who
    names one for each; `looks`, how often those are seen as `creating`, and `become`, their status after that. `odd`
    are answers to the next requests, instead of the ordinary ones. `asked` are all requests.
    """

    def __init__(self) -> None:
        self.key = KEY
        self.accepts = {"X-API-Key", "Authorization"}
        self.page = 100
        self.has_cursors = True
        self.nested_errors = False
        self.token_life = 3600.0
        self.host: str | Callable[[], str] = "http://127.0.0.1:9"
        self.looks = 1
        self.become = "running"
        self.odd: list[Answer] = []
        self.rows: dict[str, Row] = {}
        self.foreign: set[str] = set()
        self.tokens: dict[str, str] = {}
        """For single sandboxes, the only token that their agent accepts."""
        self._tokens: dict[str, tuple[str, float]] = {}
        self._looks: dict[str, int] = {}
        self._numbers = itertools.count(1763385739)
        self._lock = threading.Lock()
        self._server = Server(self._answer)
        self.url = self._server.url
        self.asked = self._server.asked
        self.hang = self._server.hang

    def __enter__(self) -> "ControlPlaneStandIn":
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.close()

    # ------------------------------------------------------------ what tests do and see

    def add(self, **fields: Any) -> str:
        """A sandbox, running on `host` if `fields`, which replace those of its row, don't say otherwise; its id."""
        sandbox_id = f"{next(self._numbers)}w4r6dokq"
        self.rows[sandbox_id] = {
            "id": sandbox_id,
            "object": "sandbox",
            "status": "running",
            "template_id": "73",
            "template_name": "code-interpreter",
            "organization_id": 42,
            "node_id": "node-7",
            "region": "eu-1001",
            "public_host": self.host() if callable(self.host) else self.host,
            "direct_url": "",
            "resources": {"vcpu": 2, "memory_mb": 2048, "disk_mb": 20480},
            "internet_access": True,
            "live_mode": True,
            "timeout_seconds": None,
            "expires_at": None,
            "created_at": "2025-11-17T13:22:19Z",
            **fields,
        }
        return sandbox_id

    def revoke(self, sandbox_id: str) -> None:
        """Ends all tokens of a sandbox."""
        with self._lock:
            self._tokens = {token: kept for token, kept in self._tokens.items() if kept[0] != sandbox_id}

    def tells_token(self, asked: Asked) -> bool:
        """Whether a request to an agent has a token that is valid now."""
        scheme, _, token = (asked.headers["Authorization"] or "").partition(" ")
        _, end = self._tokens.get(token, ("", 0.0))
        return scheme == "Bearer" and time.monotonic() < end

    @property
    def secrets(self) -> list[str]:
        """The key, and all tokens that are valid."""
        return [self.key, *self._tokens]

    def paths(self, method: str) -> list[str]:
        """The paths of all requests with that method, the oldest first."""
        return [asked.path for asked in self.asked if asked.method == method]

    # ------------------------------------------------------------ the answers

    def _answer(self, asked: Asked) -> None:
        with self._lock:
            odd = self.odd.pop(0) if self.odd else None
        if odd is not None:
            odd(asked)
        elif not self._tells_key(asked):
            self._refuse(asked, 401, "INVALID_TOKEN", "Invalid or missing API key")
        else:
            with self._lock:
                self._delete_expired()
                self._route(asked)

    def _tells_key(self, asked: Asked) -> bool:
        expected = {"X-API-Key": self.key, "Authorization": f"Bearer {self.key}"}
        return any(asked.headers[name] == expected[name] for name in self.accepts)

    def _delete_expired(self) -> None:
        now = datetime.now(UTC)
        for sandbox_id, row in list(self.rows.items()):
            if row["expires_at"] and datetime.fromisoformat(row["expires_at"]) <= now:
                del self.rows[sandbox_id]

    def _route(self, asked: Asked) -> None:
        match (asked.method, *asked.path.strip("/").split("/")):
            case ("GET", "v1", "sandboxes"):
                self._list(asked)
            case ("POST", "v1", "sandboxes"):
                self._create(asked)
            case (method, "v1", "sandboxes", sandbox_id, *action):
                if sandbox_id not in self.rows:
                    self._refuse(asked, 404, "RESOURCE_NOT_FOUND", "Sandbox not found")
                elif sandbox_id in self.foreign:
                    self._refuse(asked, 403, "FORBIDDEN", "Sandbox belongs to another organization")
                else:
                    self._one(asked, method, "/".join(action), self.rows[sandbox_id])
            case _:
                self._refuse(asked, 404, "RESOURCE_NOT_FOUND", "Not found")

    def _one(self, asked: Asked, method: str, action: str, row: Row) -> None:
        sandbox_id = row["id"]
        match (method, action):
            case ("GET", ""):
                asked.reply(self._described(row))
            case ("DELETE", ""):
                del self.rows[sandbox_id]
                asked.reply(status=204)
            case ("POST", "pause"):
                row["status"] = "paused"
                asked.reply({"id": sandbox_id, "status": "paused"})
            case ("POST", "resume"):
                row["status"] = "running"
                self._tokens = {token: kept for token, kept in self._tokens.items() if kept[0] != sandbox_id}
                asked.reply({"id": sandbox_id, "status": "running"})
            case ("PUT", "timeout"):
                seconds = json.loads(asked.body)["timeout_seconds"]
                row.update(timeout_seconds=seconds, expires_at=_after(seconds))
                asked.reply({"id": sandbox_id, "timeout_seconds": seconds, "expires_at": row["expires_at"]})
            case ("POST", "token/refresh"):
                asked.reply(self._token(sandbox_id))
            case _:
                self._refuse(asked, 405, "METHOD_NOT_ALLOWED", "Method not allowed")

    def _list(self, asked: Asked) -> None:
        query = {name: values[0] for name, values in parse_qs(asked.query).items()}
        rows = [
            row
            for row in self.rows.values()
            if row["id"] not in self.foreign and query.get("status", row["status"]) == row["status"]
        ]
        start = int(query.get("cursor", "0"))
        end = start + min(self.page, int(query.get("limit", "100")))
        has_more = end < len(rows)
        asked.reply(
            {
                "object": "list",
                "data": [self._described(row) for row in rows[start:end]] or None,
                "has_more": has_more,
                **({"next_cursor": str(end)} if has_more and self.has_cursors else {}),
                "request_id": _request_id(),
            }
        )

    def _create(self, asked: Asked) -> None:
        wanted = json.loads(asked.body)
        sandbox_id = self.add(
            status="creating",
            template_name=wanted.get("template_name", "code-interpreter"),
            template_id=str(wanted.get("template_id", 73)),
            timeout_seconds=wanted.get("timeout_seconds"),
            expires_at=_after(wanted["timeout_seconds"]) if wanted.get("timeout_seconds") else None,
            region=wanted.get("region", "eu-1001"),
        )
        self._looks[sandbox_id] = self.looks
        asked.reply({**self.rows[sandbox_id], **self._token(sandbox_id)}, 201)

    def _described(self, row: Row) -> Row:
        """The row, whose sandbox may have come further since it was last looked at."""
        left = self._looks.get(row["id"], 0)
        if row["status"] == "creating" and left == 0:
            row["status"] = self.become
        self._looks[row["id"]] = max(0, left - 1)
        return {**row, **self._token(row["id"])}

    def _token(self, sandbox_id: str) -> Row:
        fresh = f"eyJhbGciOiJIUzI1NiJ9.{secrets.token_urlsafe(300)}.{secrets.token_urlsafe(32)}"
        token = self.tokens.get(sandbox_id, fresh)
        self._tokens[token] = (sandbox_id, time.monotonic() + self.token_life)
        return {"auth_token": token, "token_expires_at": _after(self.token_life), "request_id": _request_id()}

    def _refuse(self, asked: Asked, status: int, code: str, message: str) -> None:
        flat = {"error": message, "code": code, "request_id": _request_id()}
        nested = {"error": {"message": message, "code": code, "request_id": _request_id()}}
        asked.reply(nested if self.nested_errors else flat, status)


def _after(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def _request_id() -> str:
    return f"req_{int(time.time())}_{secrets.token_hex(8)}"
