"""What a program on another machine says through ssh: marked lines among what a login prints there, within a time."""

import contextlib
import os
import secrets
import select
from collections.abc import Iterator
from typing import IO, Any

from ..errors import SshError
from ..output.oneline import printable

LONGEST = 1_000_000
"""Bytes that may come, at most, with all that a login prints."""


class Lines:
    """Lines that begin with a `mark` that only they can have."""

    def __init__(self) -> None:
        self.mark = f"hopx-{secrets.token_hex(8)} "

    def of(self, stream: IO[bytes], seconds: float, agent: str) -> Iterator[bytes]:
        """Those of a stream, without the mark, as they come. Raises SshError when nothing comes for so long."""
        mark, text, size = self.mark.encode(), b"", 0
        while size < LONGEST:
            if not select.select([stream], [], [], seconds)[0]:
                raise SshError(f"the other side said nothing for {seconds:.0f} s", agent=agent)
            piece = os.read(stream.fileno(), 65536)
            *lines, text = (text + piece).split(b"\n")
            size += len(piece)
            yield from (line.partition(mark)[2] for line in lines if mark in line)
            if not piece:
                return


def last_line(errors: Any) -> str:
    """The end of what ssh, or what it began, has complained of."""
    with contextlib.suppress(OSError, ValueError):
        size = errors.seek(0, os.SEEK_END)
        errors.seek(max(0, size - 2000))
        lines = [line for line in errors.read().decode(errors="replace").splitlines() if line.strip()]
        return printable(lines[-1].strip(), 300) if lines else ""
    return ""
