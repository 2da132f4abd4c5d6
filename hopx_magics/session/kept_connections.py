"""The named connections that the next kernel can make again by their names: how, and to whom. No secrets."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

import msgspec


class KeptConnection(msgspec.Struct, frozen=True):
    """How a connection was made: to which `target`, by ssh and to Ray with which options. `agent` is its place's."""

    target: str
    agent: str
    python: str | None = None
    setup: str | None = None
    trust: bool = True
    insecure: bool = False
    pip: tuple[str, ...] = ()
    env_file: str | None = None


class KeptConnections:
    """Those in a folder, a file each, so that several kernels can write at once. What can't be written is not kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, name: str, kept: KeptConnection) -> None:
        """Keeps how a connection of this name is made, in place of what was kept of that name."""
        file = self._file(name)
        fresh = file.with_suffix(f".{secrets.token_hex(4)}")
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
                    opened.write(msgspec.json.encode(kept))
                fresh.replace(file)
            finally:
                fresh.unlink(missing_ok=True)

    def find(self, name: str) -> KeptConnection | None:
        """How the connection of this name was made; None when nothing is kept of it, or can't be read."""
        try:
            return msgspec.json.decode(self._file(name).read_bytes(), type=KeptConnection)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def all(self) -> dict[str, KeptConnection]:
        """All that are kept, by their names."""
        found = {name: self.find(name) for name in sorted(self._names())}
        return {name: kept for name, kept in found.items() if kept}

    def _names(self) -> Iterator[str]:
        with contextlib.suppress(OSError):
            yield from (unquote(file.stem) for file in self._folder.glob("*.json"))

    def forget(self, name: str) -> bool:
        """Forgets it; whether there was one. Raises OSError."""
        try:
            self._file(name).unlink()
        except FileNotFoundError:
            return False
        return True

    def _file(self, name: str) -> Path:
        return self._folder / f"{quote(name, safe='')[:200]}.json"
