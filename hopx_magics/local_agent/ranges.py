"""Files and parts of them as replies: the header `Range`, what it means for a file, and the bytes."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import BinaryIO

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ..protocol.requests import LEFT_OUT
from .answers import Refused
from .limiting import Gap

CHUNK = 256 * 1024
"""Bytes that are sent at once."""

SMALL = 512 * 1024
"""Bytes that are read without a thread, at most: the disk may be slow, and all who ask would wait for it."""

_RANGE = re.compile(r"\s*bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.IGNORECASE)


def file_response(
    request: Request, file: BinaryIO, headers: Mapping[str, str] | None = None, gap: Gap | None = None
) -> Response:
    """What is asked for of an open file, as it is now; the file is closed afterwards.

    The whole of it comes without its `gap`; of a range each byte stays in its place, and zeros stand in the gap.

    Raises Refused when a range is asked for that begins beyond the end.
    """
    size = os.fstat(file.fileno()).st_size
    try:
        part = _byte_range(request, size)
    except Refused:
        file.close()
        raise
    spans = [part] if part else [(0, gap.begin), (gap.end, size)] if gap else [(0, size)]
    told = {
        "accept-ranges": "bytes",
        "content-length": str(sum(end - begin for begin, end in spans)),
        "cache-control": "no-cache",
        **({"content-range": f"bytes {part[0]}-{part[1] - 1}/{size}"} if part else {}),
        **({LEFT_OUT: f"{gap.begin}-{gap.end}"} if gap else {}),
        **(headers or {}),
    }
    chunks = _chunks(file, spans if request.method == "GET" else [])
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


async def _chunks(file: BinaryIO, spans: Sequence[tuple[int, int]]) -> AsyncIterator[bytes]:
    """Those parts of a file, without what is written behind them meanwhile; less when the file is cut meanwhile."""
    small = sum(end - begin for begin, end in spans) <= SMALL
    with file:
        for begin, end in spans:
            position = begin
            while position < end:
                read = (file.fileno(), min(CHUNK, end - position), position)
                chunk = os.pread(*read) if small else await asyncio.to_thread(os.pread, *read)
                if not chunk:
                    return
                position += len(chunk)
                yield chunk
