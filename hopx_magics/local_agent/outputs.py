"""The files that processes write their output to: reading their ends, adding a last line."""

import codecs
import os
from typing import NamedTuple

from .limiting import File, gap_in

_CONTINUATION = bytes(range(0x80, 0xC0))


class End(NamedTuple):
    """The end of a stream as text, the size of the whole stream in bytes, and how many of them are left out."""

    text: str
    size: int
    left_out: int = 0


def size_of(path: File) -> int:
    """The bytes written so far; a file that isn't there has none."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def read_end(path: File, limit: int, *, growing: bool = False) -> End:
    """The last `limit` bytes, without the rest of a character that the cut divided.

    What is no UTF-8 becomes U+FFFD, except for a character that a `growing` file has only the beginning of.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            gap = gap_in(file.fileno())
            begin, end = gap or (0, 0)
            start = max(0, size - limit, end)
            data = os.pread(file.fileno(), size - start, start)
            if gap and len(data) < limit:
                start = max(0, begin - (limit - len(data)))
                data = os.pread(file.fileno(), begin - start, start) + data
    except OSError:
        return End("", 0)
    if start:
        data = _without_divided_character(data)
    return End(codecs.getincrementaldecoder("utf-8")("replace").decode(data, final=not growing), size, end - begin)


def end_of(text: str, limit: int) -> str:
    """The last `limit` bytes of a text, without the rest of a character that the cut divided."""
    if len(text) <= limit and text.isascii():
        return text
    data = text.encode()
    return text if len(data) <= limit else _without_divided_character(data[len(data) - limit :]).decode()


def _without_divided_character(data: bytes) -> bytes:
    rest = len(data) - len(data.lstrip(_CONTINUATION))
    return data[rest:] if rest < 4 else data


def last_line(path: File, limit: int = 500) -> str:
    """The last line that isn't empty, or the end of it."""
    lines = read_end(path, limit).text.strip().splitlines()
    return lines[-1].strip() if lines else ""


def add_last_line(path: File, line: str) -> None:
    """Makes `line` the last line, once, however often it is called. A disk without room for it is no error."""
    try:
        end = read_end(path, len(line.encode()) + 2).text
        if end.strip() == line:
            return
        with open(path, "ab") as file:
            file.write(f"{'' if end.endswith(chr(10)) or not end else chr(10)}{line}\n".encode())
    except OSError:
        return
