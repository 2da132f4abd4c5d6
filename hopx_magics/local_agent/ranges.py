"""Files and parts of them as replies: the header `Range`, what it means for a file, and the bytes."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Mapping
from typing import BinaryIO

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from .answers import Refused

CHUNK = 256 * 1024
"""Bytes that are sent at once."""

SMALL = 512 * 1024
"""Bytes that are read without a thread, at most: the disk may be slow, and all who ask would wait for it."""

_RANGE = re.compile(r"\s*bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.IGNORECASE)


def file_response(request: Request, file: BinaryIO, headers: Mapping[str, str] | None = None) -> Response:
    """What is asked for of an open file, as it is now; the file is closed afterwards.

    Raises Refused when a range is asked for that begins beyond the end.
    """
    size = os.fstat(file.fileno()).st_size
    try:
        part = _byte_range(request, size)
    except Refused:
        file.close()
        raise
    begin, end = part or (0, size)
    told = {
        "accept-ranges": "bytes",
        "content-length": str(end - begin),
        "cache-control": "no-cache",
        **({"content-range": f"bytes {begin}-{end - 1}/{size}"} if part else {}),
        **(headers or {}),
    }
    chunks = _chunks(file, begin, end if request.method == "GET" else begin)
    return StreamingResponse(chunks, 206 if part else 200, told, "application/octet-stream")


def _byte_range(request: Request, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last that are asked for; None for all, also when the range isn't understood."""
    match = _RANGE.fullmatch(request.headers.get("range", ""))
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first and last and int(last) < int(first):
        return None
    begin, end = (int(first), int(last or size) + 1) if first else (max(0, size - int(last)), size)
    if begin >= size:
        headers = {"content-range": f"bytes */{size}"}
        raise Refused(416, "RANGE_NOT_SATISFIABLE", f"there are {size:,} bytes", headers=headers)
    return begin, min(end, size)


async def _chunks(file: BinaryIO, begin: int, end: int) -> AsyncIterator[bytes]:
    """That part of a file, without what is written behind it meanwhile; less when the file is cut meanwhile."""
    small = end - begin <= SMALL
    with file:
        while begin < end:
            read = (file.fileno(), min(CHUNK, end - begin), begin)
            chunk = os.pread(*read) if small else await asyncio.to_thread(os.pread, *read)
            if not chunk:
                return
            begin += len(chunk)
            yield chunk
