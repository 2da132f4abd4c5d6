"""Reads back what wrapped launches keep in files."""

import base64
import re
import secrets
import shlex
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ...errors import AgentRefused, BadReply, NotSupported, UnknownProcess
from ...models import RunId
from ...protocol.files import FILE_UNKNOWN_CODES, FILES_DOWNLOAD
from ...words import Stream
from ..agent import OutputPart
from ..commands import read_by_command
from ..files import Files
from ..transport import Request, Transport
from .wrapping import ROOTS, is_run_id, run_folders

PIECE = 1_000_000
"""Bytes read with one command: how much output of a command agents return is documented nowhere."""

SMALL = 10_000_000
"""Bytes of the largest file that is downloaded as a whole, each time, where commands can't be run."""

ASK_AGAIN = 30.0

_NO_SUCH_FOLDER = "hopx: no such run"

# The numbers may be negative: a start counts from the end then, and a stop means the end of the file.
_READ = """\
# {nonce}: agents may answer a command from a cache
for folder in {folders}; do
  if [ -f "$folder/stdout" ]; then
    file=$folder/{stream} start={start} stop={stop}
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

_EXIT_CODES = """\
# {nonce}: agents may answer a command from a cache
for run_id in {run_ids}; do
  for root in {roots}; do
    if [ -s "$root/$run_id/exit_code" ]; then echo "$run_id $(cat "$root/$run_id/exit_code")"; fi
  done
done
"""

_EXIT_CODES_AT_ONCE = 1_000
"""Runs asked for with one command, whose length has a limit."""

_EXIT_CODE = re.compile(r"^([0-9a-f]{16}) (\d{1,3})$", re.MULTILINE)

_FOUND = re.compile(r"hopx: (\d{1,18}) (\d{1,18}) (\d{1,18})\s")


class CapturedOutput:
    """What the wrapped launches of one agent have written, through its transport. Safe to use from several threads.

    `roots` are the folders that have those of the runs. An agent that seems to run no commands is asked again after
    `ask_again` seconds: it may have been a gateway that said so.
    """

    def __init__(self, transport: Transport, *, roots: Sequence[str] = ROOTS, ask_again: float = ASK_AGAIN) -> None:
        self._transport = transport
        self._files = Files(transport)
        self._roots = roots
        self._ask_again = ask_again
        self._ask_again_at = 0.0

    def part(self, run_id: RunId, stream: Stream, start: int = 0, stop: int | None = None) -> OutputPart:
        """Bytes `start` to `stop` of a stream; a negative `start` counts from the end, like a slice.

        Raises UnknownProcess when there is no folder of the run: it was not launched so, has not begun, or its folder
        was deleted. Raises NotSupported when the agent neither runs commands nor serves files, or when the stream is
        too large for one that only serves files; and else AgentError.
        """
        if not is_run_id(run_id):
            raise self._unknown(run_id)
        try:
            return self._read_by_commands(run_id, stream, start, stop)
        except NotSupported:
            return self._read_by_download(run_id, stream, start, stop)

    def exit_codes(self, run_ids: Iterable[RunId]) -> dict[RunId, int]:
        """The exit codes of those of these runs that have ended here, 128+n after signal n.

        Raises NotSupported when the agent runs no commands, else AgentError.
        """
        known = [run_id for run_id in run_ids if is_run_id(run_id)]
        codes: dict[RunId, int] = {}
        roots = shlex.join(self._roots)
        for first in range(0, len(known), _EXIT_CODES_AT_ONCE):
            some = " ".join(known[first : first + _EXIT_CODES_AT_ONCE])
            reply = self._said_by(_EXIT_CODES.format(nonce=secrets.token_hex(8), run_ids=some, roots=roots))
            codes |= {RunId(run_id): int(code) for run_id, code in _EXIT_CODE.findall(reply)}
        return codes

    def _unknown(self, run_id: RunId) -> UnknownProcess:
        return UnknownProcess(
            f"{self._transport.label}: there are no files of the run {run_id!r} (any more)",
            hint="It may not have begun yet, was launched without --capture files, or its folder was deleted.",
        )

    # ------------------------------------------------------------ by commands

    def _read_by_commands(self, run_id: RunId, stream: Stream, start: int, stop: int | None) -> OutputPart:
        part = self._piece(run_id, stream, start, stop)
        pieces, position = [part.data], part.start + len(part.data)
        end = part.size if stop is None else min(stop, part.size)  # what is written in the meantime comes next time
        while position < end:
            piece = self._piece(run_id, stream, position, end)
            if not piece.data:
                break  # the file was cut
            pieces.append(piece.data)
            position += len(piece.data)
        return OutputPart(b"".join(pieces), part.start, part.size)

    def _piece(self, run_id: RunId, stream: Stream, start: int, stop: int | None) -> OutputPart:
        reply = self._said_by(
            _READ.format(
                nonce=secrets.token_hex(8),
                folders=shlex.join(run_folders(run_id, self._roots)),
                stream=stream,
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
                f"its reply to a command that reads {stream} is not all of what that prints",
                agent=self._transport.label,
            )
        return OutputPart(data, int(found[2]), int(found[1]))

    def _said_by(self, script: str) -> str:
        """What bash prints that runs the script. Raises NotSupported when the agent has just said that it runs none."""
        if time.monotonic() < self._ask_again_at:
            raise NotSupported("this agent runs no commands", agent=self._transport.label)
        try:
            return read_by_command(self._transport, script)
        except NotSupported:
            self._ask_again_at = time.monotonic() + self._ask_again
            raise

    # ------------------------------------------------------------ by downloading

    def _read_by_download(self, run_id: RunId, stream: Stream, start: int, stop: int | None) -> OutputPart:
        for folder in run_folders(run_id, self._roots):
            if self._files.exists(f"{folder}/stdout"):
                whole = self._downloaded(f"{folder}/{stream}")
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
            self._transport.read(Request("GET", FILES_DOWNLOAD, {"path": path}), receive)
        except AgentRefused as error:
            if error.status == 404 and error.code in FILE_UNKNOWN_CODES:
                return b""
            raise
        return bytes(content)


def _decoded(text: str) -> bytes:
    """The bytes of base64, or none where it isn't that."""
    try:
        return base64.b64decode(text)
    except ValueError:
        return b""
