"""What a file has got since it was read last, line by line."""

import os

from .limiting import gap_in

MOST_AT_ONCE = 4_000_000
"""Bytes that are read at once: of more only the last ones."""


class NewLines:
    """The output of one stream, as far as it was read."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._position = 0

    def read(self, *, ended: bool = False) -> str:
        """The lines that are new and whole, or where nothing more will come, all that is new."""
        try:
            with open(self._path, "rb", buffering=0) as file:
                data = self._new(file.fileno())
        except OSError:
            return ""
        end = len(data) if ended else max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        end = end or (len(data) if len(data) > MOST_AT_ONCE // 2 else 0)
        self._position += end
        return data[:end].decode("utf-8", "replace")

    def _new(self, descriptor: int) -> bytes:
        size = os.fstat(descriptor).st_size
        if size == self._position:
            return b""
        if size < self._position:  # its middle was taken out, and the end moved
            self._position = 0
        gap = gap_in(descriptor)
        behind_gap = gap.end if gap and gap.end > self._position else 0
        start = max(self._position, size - MOST_AT_ONCE, behind_gap)
        data = os.pread(descriptor, MOST_AT_ONCE, start)
        if start > self._position:  # the first line may be the rest of one
            rest = data.find(b"\n") + 1
            start, data = start + rest, data[rest:]
        self._position = start
        return data
