"""The endpoints for files. An agent of a machine that is no sandbox serves those of its own work folder only."""

import asyncio
import base64
import errno
import re
import time
from pathlib import PurePosixPath
from typing import BinaryIO
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ..protocol import files as wire
from . import requests
from .answers import Routes, json_response
from .endings import utc
from .multipart import Form
from .ranges import file_response
from .workspace import Workspaces, explained

LARGEST_TEXT = 32_000_000
"""Bytes of a file that `/files/read` answers with, at most: it has to be held in memory as a whole."""


class FileEndpoints:
    """The endpoints for the files of work folders."""

    def __init__(self, workspaces: Workspaces) -> None:
        self._at = workspaces.of
        self.routes: Routes = [
            ("GET", wire.FILES_READ, self._read),
            ("POST", wire.FILES_WRITE, self._write),
            ("POST", wire.FILES_UPLOAD, self._upload),
            ("GET", wire.FILES_DOWNLOAD, self._download),
            ("GET", wire.FILES_LIST, self._list),
            ("GET", wire.FILES_EXISTS, self._exists),
            ("POST", wire.FILES_MKDIR, self._mkdir),
            ("DELETE", wire.FILES_REMOVE, self._remove),
        ]

    # ------------------------------------------------------------ looking

    async def _list(self, request: Request) -> Response:
        path = request.query_params.get("path") or wire.WORKSPACE
        rows = await asyncio.to_thread(self._at(path).list, path)
        return json_response({"files": rows, "path": path, "count": len(rows)})

    async def _exists(self, request: Request) -> Response:
        path = _asked_path(request)
        return json_response({"exists": await asyncio.to_thread(self._at(path).exists, path), "path": path})

    async def _read(self, request: Request) -> Response:
        path = _asked_path(request)
        content = await asyncio.to_thread(self._content, path)
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise requests.invalid(f"{path[:200]} is no text: use {wire.FILES_DOWNLOAD}") from None
        return json_response({"content": text, "path": path, "size": len(content)})

    def _content(self, path: str) -> bytes:
        with self._at(path).open(path) as file:
            content = file.read(LARGEST_TEXT + 1)
        if len(content) > LARGEST_TEXT:
            raise requests.invalid(f"{path[:200]} is larger than {LARGEST_TEXT:,} bytes: use {wire.FILES_DOWNLOAD}")
        return content

    async def _download(self, request: Request) -> Response:
        path = _asked_path(request)
        file = await asyncio.to_thread(self._at(path).open, path)
        name = quote(PurePosixPath(path).name, safe="")
        return file_response(request, file, {"content-disposition": f"attachment; filename*=UTF-8''{name}"})

    # ------------------------------------------------------------ changing

    async def _write(self, request: Request) -> Response:
        wanted = requests.decode_body(await requests.read_body(request), wire.WriteRequest)
        content, mode = _decoded_content(wanted), _checked_mode(wanted.mode)
        path = await asyncio.to_thread(self._put, _checked_path(wanted.path), content, mode, wanted.overwrite)
        return _done(path, "File written successfully", len(content))

    def _put(self, path: str, content: bytes, mode: int | None, overwrite: bool) -> str:
        workspace = self._at(path)
        with explained(path), workspace.incoming() as file:
            file.write(content)
            return workspace.install(file, path, mode=mode, overwrite=overwrite, parents=True)

    async def _upload(self, request: Request) -> Response:
        announced = int(request.headers.get("content-length", "0"))
        asked = request.query_params.get("path", "")
        workspace = self._at(asked)
        with explained(asked):
            if announced > workspace.free:
                raise OSError(errno.ENOSPC, "")
            with workspace.incoming() as file:
                form = await _received(request, file)
                path = form.fields.get("path") or asked or _path_for(form.filename)
                installed = await asyncio.to_thread(workspace.install, file, path)
        return _done(installed, "File uploaded successfully", form.size)

    async def _mkdir(self, request: Request) -> Response:
        wanted = requests.decode_body(await requests.read_body(request), wire.PathRequest)
        path = await asyncio.to_thread(self._at(wanted.path).mkdir, _checked_path(wanted.path))
        return _done(path, "Directory created successfully")

    async def _remove(self, request: Request) -> Response:
        path = _asked_path(request)
        path = await asyncio.to_thread(self._at(path).remove, path)
        return _done(path, "Removed successfully")


def _asked_path(request: Request) -> str:
    return _checked_path(request.query_params.get("path", ""))


def _checked_path(path: str) -> str:
    if not path:
        raise requests.missing_parameter("path")
    return path


def _path_for(filename: str | None) -> str:
    """Where an upload goes that has no path, only the name of a file."""
    return _checked_path(PurePosixPath((filename or "").replace("\\", "/")).name)


def _decoded_content(wanted: wire.WriteRequest) -> bytes:
    if wanted.encoding in (None, "", "utf-8", "text"):
        return wanted.content.encode()
    if wanted.encoding != "base64":
        raise requests.invalid(f"encoding must be utf-8 or base64, not {wanted.encoding[:80]!r}")
    try:
        return base64.b64decode(wanted.content, validate=True)
    except ValueError as error:  # binascii.Error is one, and letters beyond ASCII are another
        raise requests.invalid(f"content is no base64: {error}") from None


_MODE = re.compile("0?[0-7]{3}")


def _checked_mode(mode: str | None) -> int | None:
    if not mode:
        return None
    if not _MODE.fullmatch(mode):
        raise requests.invalid(f"mode must be octal like 0644, not {mode[:80]!r}")
    return int(mode, 8)


async def _received(request: Request, file: BinaryIO) -> Form:
    """The form in the body of a request, with its file written to `file`."""
    form = Form(request.headers.get("content-type", ""), file)
    try:
        async for chunk in request.stream():
            await asyncio.to_thread(form.feed, chunk)
    except ClientDisconnect:
        raise requests.invalid("the client went away before the end of the body") from None  # for no one to read
    form.check_complete()
    return form


def _done(path: str, message: str, size: int | None = None) -> Response:
    return json_response(
        {
            "path": path,
            **({} if size is None else {"size": size}),
            "message": message,
            "success": True,
            "timestamp": utc(time.time_ns()),
        }
    )
