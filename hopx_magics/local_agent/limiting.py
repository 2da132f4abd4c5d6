"""Outputs that outgrew their limit keep head and tail, and the disk gets back what was between them.

Writers append, so the middle can be taken out while they write: as a hole, where the file system makes holes. Then
every byte that is left stays where it was. Between head and hole a note says up to where output is left out, by which
the hole is known again. Elsewhere head, note and tail are moved together, and what is written meanwhile may be lost.
"""

import ctypes
import functools
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

File = str | Path

_BLOCK = 4096
_SLACK = 16 * _BLOCK
_PIECE = 256 * _BLOCK
_PUNCH_HOLE = 0x03  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE

_NOTE_SIZE = 100
_FOUND = re.compile(rb"\n\[output left out here, up to byte ([0-9,]{1,24}): over the limit of \S+ MB\] *\n")


class Gap(NamedTuple):
    """What is left out of an output: from byte `begin` on, and not what is at `end`."""

    begin: int
    end: int


def gap_in(descriptor: int) -> Gap | None:
    """What is left out of an output, None when it is whole. What is in a gap reads as zeros."""
    found = os.fstat(descriptor)
    if not _is_sparse(found):
        return None
    try:
        begin = os.lseek(descriptor, 0, os.SEEK_HOLE)
    except (OSError, AttributeError):
        return None
    note = _FOUND.fullmatch(os.pread(descriptor, _NOTE_SIZE, max(0, begin - _NOTE_SIZE)))
    return Gap(begin, min(int(note[1].replace(b",", b"")), found.st_size)) if note else None


def is_over(path: File, limit: int) -> bool:
    """Whether an output has outgrown its limit by so much that cutting it is worth while."""
    try:
        found = os.stat(path)
    except OSError:
        return False
    return _occupied(found) > limit + limit // 8 + _SLACK


def cut(path: File, limit: int) -> None:
    """Leaves out the middle of an output that takes more room than `limit` bytes.

    May be called while somebody writes to it, and as often as one likes. One that can't be cut is no error.
    """
    try:
        if _occupied(os.stat(path)) <= limit + _SLACK:
            return
        with open(path, "r+b", buffering=0) as file:
            if not _make_gap(file.fileno(), limit):
                _move_together(file.fileno(), limit)
    except OSError:
        return


def _occupied(found: os.stat_result) -> int:
    return min(found.st_size, found.st_blocks * 512 or found.st_size)  # not all file systems count blocks


def _is_sparse(found: os.stat_result) -> bool:
    return found.st_size > _SLACK and found.st_blocks * 512 < found.st_size


def _note(end: int, limit: int) -> bytes:
    text = f"\n[output left out here, up to byte {end:,}: over the limit of {limit / 1e6:.6g} MB]"
    return text.encode().ljust(_NOTE_SIZE - 1) + b"\n"


def _make_gap(descriptor: int, limit: int) -> bool:
    """Whether the file system could take out the middle."""
    size, half = os.fstat(descriptor).st_size, limit // 2
    known = gap_in(descriptor)
    begin = known.begin if known else max(_BLOCK, half // _BLOCK * _BLOCK)
    end = (size - half) // _BLOCK * _BLOCK
    if end <= (known.end if known else begin):
        return True
    place = begin - _NOTE_SIZE
    before = os.pread(descriptor, _NOTE_SIZE, place)
    os.pwrite(descriptor, _note(end, limit), place)  # first: nobody may take the zeros for output
    if _punch_hole()(descriptor, begin, end - begin):
        return True
    os.pwrite(descriptor, before, place)
    return False


@functools.cache
def _punch_hole() -> Callable[[int, int, int], bool]:
    """What takes a part out of a file, and tells whether it could."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    fallocate = getattr(libc, "fallocate64", None) or getattr(libc, "fallocate", None)
    if fallocate is None:
        return lambda descriptor, begin, length: False
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return lambda descriptor, begin, length: fallocate(descriptor, _PUNCH_HOLE, begin, length) == 0


def _move_together(descriptor: int, limit: int) -> None:
    half, size = limit // 2, os.fstat(descriptor).st_size
    place, taken = max(0, half - _NOTE_SIZE), size - half
    place += os.pwrite(descriptor, _note(taken, limit), place)
    while piece := os.pread(descriptor, _PIECE, taken):
        taken += len(piece)
        place += os.pwrite(descriptor, piece, place)
    os.ftruncate(descriptor, place)
