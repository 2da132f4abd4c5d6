"""Files of an agent: where they are asked for, with what, and what the replies mean."""

from typing import Any

import msgspec

from ..errors import BadReply
from ..models import FileInfo
from .fields import Body, first, read_integer, read_text, read_time
from .replies import excerpt, read_json, reject_catch_all

FILES_READ = "/files/read"
FILES_WRITE = "/files/write"
FILES_UPLOAD = "/files/upload"
FILES_DOWNLOAD = "/files/download"
FILES_LIST = "/files/list"
FILES_EXISTS = "/files/exists"
FILES_MKDIR = "/files/mkdir"
FILES_REMOVE = "/files/remove"

WORK = "~/hopx"
"""The folder with those in which connections by ssh work, one each: it is served, too, by its real path."""

WORKSPACE = "/workspace"
"""What agents call their work folder, whatever its real path is."""

FILE_UNKNOWN_CODES = frozenset({"FILE_NOT_FOUND", "DIRECTORY_NOT_FOUND", "RESOURCE_NOT_FOUND"})
"""The codes of a 404 that speaks of the file, and not of the route."""


class WriteRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Body of `POST /files/write`. `encoding` is that of `content`, utf-8 or base64; `mode` is octal, like 0644."""

    path: str
    content: str
    encoding: str | None = None
    mode: str | None = None
    overwrite: bool = True


class PathRequest(msgspec.Struct):
    """Body of `POST /files/mkdir`."""

    path: str


def decode_files(body: Body, *, agent: str) -> tuple[FileInfo, ...]:
    """The files in the reply to `GET /files/list`, in the agent's order.

    Raises BadReply when it is no such reply, and NotSupported when the agent doesn't have the endpoint.
    """
    content = read_json(body, agent=agent)
    if isinstance(content, dict):
        reject_catch_all(content, "files", agent=agent, endpoint=f"GET {FILES_LIST}")
        content = (content["files"] or []) if "files" in content else None
    if not isinstance(content, list):
        raise BadReply(f"its reply is no list of files: {excerpt(body)}", agent=agent)
    return tuple(_read_file(row) for row in content if isinstance(row, dict))


def _read_file(row: dict[str, Any]) -> FileInfo:
    path = first(read_text, row, "path") or ""
    permissions = first(read_text, row, "permissions", "mode")
    is_directory = first(_read_flag, row, "is_directory", "is_dir")
    return FileInfo(
        name=first(read_text, row, "name") or path.rstrip("/").rpartition("/")[2],
        path=path,
        size=read_integer(row.get("size")),
        is_directory=bool(permissions and permissions.startswith("d")) if is_directory is None else is_directory,
        permissions=permissions,
        modified_at=first(read_time, row, "modified_time", "modified", "modified_at"),
    )


def _read_flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def decode_exists(body: Body, *, agent: str) -> bool:
    """The reply to `GET /files/exists`. Raises BadReply and NotSupported."""
    content = read_json(body, agent=agent)
    if isinstance(content, dict):
        reject_catch_all(content, "exists", agent=agent, endpoint=f"GET {FILES_EXISTS}")
        if isinstance(content.get("exists"), bool):
            return bool(content["exists"])
    raise BadReply(f"its reply does not tell whether the file exists: {excerpt(body)}", agent=agent)


def decode_file_reply(body: Body, *, agent: str, endpoint: str) -> int | None:
    """The size of the file in the reply to something that was done with it, where the agent tells it.

    Any other reply means no more than that the agent did it: the sources don't agree on its fields. Raises NotSupported
    when the agent doesn't have the endpoint.
    """
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    reject_catch_all(content, "path", agent=agent, endpoint=endpoint)
    return read_integer(content.get("size"))
