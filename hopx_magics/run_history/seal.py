"""Seals: by them the history knows again what this user's own agent on this machine has told it.

A history may come from anywhere, a colleague say, and what is in it may have been written by anybody. The key is not
beside the history, but where this user's agents are, and never leaves that place.
"""

import contextlib
import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

SIZE = 32
"""Bytes of the key."""


class Seal:
    """Seals contents by the key in a `file`, which is made when the first one is to be sealed."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def of(self, label: str, files: Mapping[str, bytes]) -> bytes:
        """The seal of these files of what the label says. Raises OSError."""
        return _seal(self._read() or self._make(), label, files)

    def is_of(self, seal: bytes | None, label: str, files: Mapping[str, bytes]) -> bool:
        """Whether it is their seal."""
        key = self._read()
        return key is not None and seal is not None and hmac.compare_digest(seal, _seal(key, label, files))

    def _read(self) -> bytes | None:
        with contextlib.suppress(OSError):
            key = self._file.read_bytes()
            return key if len(key) == SIZE else None
        return None

    def _make(self) -> bytes:
        """A new key, or the one that somebody else has made meanwhile."""
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self._file.with_name(f".{self._file.name}-{secrets.token_hex(8)}")
        try:
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(secrets.token_bytes(SIZE))
            with contextlib.suppress(FileExistsError):
                os.link(fresh, self._file)
        finally:
            fresh.unlink(missing_ok=True)
        if (key := self._read()) is None:
            raise OSError(f"{self._file} is no key")
        return key


def sealed_as(agent: str | None, process_id: str | None) -> str:
    """The label of what a process has left."""
    return f"{agent}\0{process_id}"


def _seal(key: bytes, label: str, files: Mapping[str, bytes]) -> bytes:
    parts = [label.encode("utf-8", "replace")]
    for name in sorted(files):
        parts += [name.encode("utf-8", "replace"), files[name]]
    made = hmac.new(key, digestmod="sha256")
    for part in parts:
        made.update(len(part).to_bytes(8, "big"))
        made.update(part)
    return made.digest()
