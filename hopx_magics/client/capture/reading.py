"""Reads back what wrapped launches keep in files."""

import base64
import re
import secrets
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from ... import protocol
from ...errors import AgentRefused, BadReply, NotSupported, UnknownProcess
from ...models import RunId, Stream
from ...protocol.replies import read_json, reject_catch_all
from ..agent import OutputPart
from ..files import Files
from ..transport import Request, Transport
from .wrapping import ROOTS, run_folders

PIECE = 1_000_000
"""Bytes read with one command: how much output of a command agents return is documented nowhere."""

SMALL = 10_000_000
"""Bytes of the largest file that is downloaded as a whole, each time, where commands can't be run."""

_TIME_LIMIT = 20
_NO_SUCH_FOLDER = "hopx: no such run"

_File = Literal["stdout", "stderr", "exit_code", "pid"]

# The numbers may be negative: a start counts from the end then, and a stop means the end of the file.
_READ = """\
# {nonce}: agents may answer a command from a cache
for folder in {folders}; do
  if [ -f "$folder/stdout" ]; then
    file=$folder/{file} start={start} stop={stop}
    size=$(stat -c %s "$file" 2>/dev/null || echo 0)
    [ "$start" -ge 0 ] || start=$((size + start))
    [ "$start" -ge 0 ] || start=0
    [ "$start" -le "$size" ] || start=$size
    [ "$stop" -ge 0 ] && [ "$stop" -le "$size" ] || stop=$size
    count=$((stop - start))
    [ "$count" -ge 0 ] || count=0
    [ "$count" -le {most} ] || count={most}
    echo "hopx: $size $start $count"
    [ "$count" -eq 0 ] || tail -c +$((start + 1)) "$file" | head -c "$count" | base64
    exit
  fi
done
echo {no_such_folder}
"""

_FOUND = re.compile(r"hopx: (\d{1,18}) (\d{1,18}) (\d{1,18})\s")


class CapturedOutput:
    """What the wrapped launches of one agent have written, through its transport. Safe to use from several threads.

    All methods raise UnknownProcess when there is no folder of the run: it was not launched so, has not begun, or its
    folder was deleted. They raise NotSupported when the agent neither runs commands nor serves files, or when a file
    is too large for one that only serves files; and else AgentError.

    `roots` are the folders that have those of the runs.
    """

    def __init__(self, transport: Transport, *, roots: Sequence[str] = ROOTS) -> None:
        self._transport = transport
        self._files = Files(transport)
        self._roots = roots
        self._runs_commands = True

    def part(self, run_id: RunId, stream: Stream, start: int = 0, stop: int | None = None) -> OutputPart:
        """Bytes `start` to `stop` of a stream; a negative `start` counts from the end, like a slice."""
        return self._read(run_id, stream, start, stop)

    def exit_code(self, run_id: RunId) -> int | None:
        """The exit code, 128+n after signal n; None as long as the process has not ended."""
        return _number(self._read(run_id, "exit_code", 0, None).data)

    def pid(self, run_id: RunId) -> int | None:
        """The pid in the sandbox of the process that runs the code, which leads a process group; None before that."""
        return _number(self._read(run_id, "pid", 0, None).data)

    def _read(self, run_id: RunId, file: _File, start: int, stop: int | None) -> OutputPart:
        try:
            folders = run_folders(run_id, self._roots)
        except ValueError:
            raise self._unknown(run_id) from None
        if self._runs_commands:
            try:
                return self._read_by_commands(run_id, folders, file, start, stop)
            except NotSupported:
                self._runs_commands = False
        return self._read_by_download(run_id, folders, file, start, stop)

    def _unknown(self, run_id: RunId) -> UnknownProcess:
        return UnknownProcess(
            f"{self._transport.label}: there are no files of the run {run_id!r} (any more)",
            hint="It may not have begun yet, was launched without --capture files, or its folder was deleted.",
        )

    # ------------------------------------------------------------ by commands

    def _read_by_commands(
        self, run_id: RunId, folders: Sequence[str], file: _File, start: int, stop: int | None
    ) -> OutputPart:
        part = self._piece(run_id, folders, file, start, stop)
        pieces, position = [part.data], part.start + len(part.data)
        end = part.size if stop is None else min(stop, part.size)  # what is written in the meantime comes next time
        while position < end:
            piece = self._piece(run_id, folders, file, position, end)
            if not piece.data:
                break  # the file was cut
            pieces.append(piece.data)
            position += len(piece.data)
        return OutputPart(b"".join(pieces), part.start, part.size)

    def _piece(self, run_id: RunId, folders: Sequence[str], file: _File, start: int, stop: int | None) -> OutputPart:
        reply = self._said_by(
            _READ.format(
                nonce=secrets.token_hex(8),
                folders=shlex.join(folders),
                file=file,
                start=start,
                stop=-1 if stop is None else max(0, stop),
                most=PIECE,
                no_such_folder=shlex.quote(_NO_SUCH_FOLDER),
            )
        )
        if reply.strip() == _NO_SUCH_FOLDER:
            raise self._unknown(run_id)
        found = _FOUND.match(reply)
        data = _decoded(reply[found.end() :]) if found else b""
        if found is None or len(data) != int(found[3]):
            raise BadReply(
                f"its reply to a command that reads {file} is not all of what that prints",
                agent=self._transport.label,
            )
        return OutputPart(data, int(found[2]), int(found[1]))

    def _said_by(self, script: str) -> str:
        """What bash prints that runs the script. Raises NotSupported when the agent runs no commands."""
        endpoint = f"POST {protocol.COMMANDS_RUN}"
        body = protocol.CommandRequest(command="bash", args=["-c", script], timeout=_TIME_LIMIT)
        request = Request("POST", protocol.COMMANDS_RUN, content=msgspec.json.encode(body))
        try:
            reply = self._transport.read(request)
        except AgentRefused as error:
            if error.status not in (404, 405, 501):
                raise
            raise NotSupported(f"this agent does not support {endpoint}", agent=self._transport.label) from None
        content = read_json(reply.body, agent=self._transport.label)
        if isinstance(content, dict):
            reject_catch_all(content, "stdout", agent=self._transport.label, endpoint=endpoint)
            if isinstance(content.get("stdout"), str):
                return str(content["stdout"])
        raise BadReply("its reply to a command has no stdout", agent=self._transport.label)

    # ------------------------------------------------------------ by downloading

    def _read_by_download(
        self, run_id: RunId, folders: Sequence[str], file: _File, start: int, stop: int | None
    ) -> OutputPart:
        for folder in folders:
            if self._files.exists(f"{folder}/stdout"):
                whole = self._downloaded(f"{folder}/{file}")
                first = min(max(0, len(whole) + start) if start < 0 else start, len(whole))
                return OutputPart(whole[first:stop], first, len(whole))
        raise self._unknown(run_id)

    def _downloaded(self, path: str) -> bytes:
        """The file as it is now, which may not be there yet."""
        content = bytearray()

        def receive(headers: Mapping[str, str], chunks: Iterator[bytes]) -> None:
            content.clear()
            for chunk in chunks:
                content.extend(chunk)
                if len(content) > SMALL:
                    raise NotSupported(
                        "this agent runs no commands that could read a part of a large output",
                        agent=self._transport.label,
                        hint=f"It has more than {SMALL / 1e6:g} MB: download the file {path}.",
                    )

        try:
            self._transport.read(Request("GET", protocol.FILES_DOWNLOAD, {"path": path}), receive)
        except AgentRefused as error:
            if error.status == 404 and error.code in protocol.FILE_UNKNOWN_CODES:
                return b""
            raise
        return bytes(content)


def _decoded(text: str) -> bytes:
    """The bytes of base64, or none where it isn't that."""
    try:
        return base64.b64decode(text)
    except ValueError:
        return b""


def _number(data: bytes) -> int | None:
    text = data.strip()
    return int(text) if text.isdigit() and len(text) < 19 else None
