"""Bodies of replies: as they are, or gzipped, and then decoded piece by piece, so that none can fill the memory."""

import zlib
from collections.abc import Iterator

import httpx

OFFERED = "gzip"
"""The one encoding that is asked for. What comes in another one, or in several, is refused."""

PIECE = 262_144
"""Bytes that are decoded at once, at most."""

_MAGIC = b"\x1f\x8b"


def decoded(response: httpx.Response) -> Iterator[bytes]:
    """The body, piece by piece. Raises httpx.DecodingError for an encoding that was not asked for, and a broken one."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return response.iter_raw()
    if encoding in ("gzip", "x-gzip"):
        return _unzipped(response.iter_raw())
    raise httpx.DecodingError(f"its reply is encoded as {encoding!r}, and only {OFFERED} was asked for")


def _unzipped(chunks: Iterator[bytes]) -> Iterator[bytes]:
    unzip = zlib.decompressobj(16 + zlib.MAX_WBITS)
    is_whole = True
    for chunk in chunks:
        rest = chunk
        while rest:
            if unzip.eof:
                if not rest.startswith(_MAGIC):
                    return  # padding
                unzip = zlib.decompressobj(16 + zlib.MAX_WBITS)
            try:
                yield unzip.decompress(rest, PIECE)
            except zlib.error as error:
                raise httpx.DecodingError(f"its reply is no {OFFERED}: {error}") from None
            rest = unzip.unused_data if unzip.eof else unzip.unconsumed_tail
        is_whole = unzip.eof
    if not is_whole:
        raise httpx.DecodingError(f"its reply was cut short within its {OFFERED}")
