"""The file by which clients find an agent.

It is there for as long as the agent is to be found. Without one it lies aside under another name, and is overwritten in
place by the next agent: so an agent can be found also on a disk that has become full meanwhile.
"""

import os
from pathlib import Path

import msgspec

from ..protocol.requests import AGENT_FILE, AgentFile

SIZE = 2048
"""Bytes of the file, blanks at its end included."""


class Address:
    """The address of the agent of a folder, as a file."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / AGENT_FILE
        self._aside = folder / "agent.aside"

    @property
    def is_told(self) -> bool:
        """Whether an agent can be found, or was killed before it could take its address back."""
        return self._path.exists()

    def read(self) -> AgentFile | None:
        """What is told; None when that is nothing, or nothing that can be read."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=AgentFile)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def tell(self, about: AgentFile) -> None:
        """Lets clients find an agent. Raises OSError."""
        descriptor = os.open(self._aside, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(descriptor, msgspec.json.encode(about).ljust(SIZE), 0)
        finally:
            os.close(descriptor)
        self._aside.replace(self._path)

    def take_back(self) -> None:
        """Lets no one find an agent any more."""
        try:
            self._path.replace(self._aside)
        except FileNotFoundError:
            return
