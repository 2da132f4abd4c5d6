"""The files of an agent: bytes as they are, both ways, without ever holding a whole file in memory."""

import os
import posixpath
import secrets
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec

from ..errors import AgentRefused, BadReply, HopxError, NotSupported
from ..models import FileInfo
from ..protocol import files as wire
from .transport import Request, Stream, Transport

Progress = Callable[[int, int | None], object]
"""Called with the bytes that went over the wire so far and with all there are, None when the agent doesn't say."""

_CHUNK = 256 * 1024
_LONGEST_CATCH_ALL = 10_000

_POLICY = "Agents serve files below /workspace and /tmp only."


class Files:
    """The files of one agent, through its transport. Safe to use from several threads.

    `workspace` is the folder of this machine that is the agent's `/workspace`; None for agents elsewhere.

    Paths are those of the agent: absolute, or relative to `folder`, by default its work folder, `/workspace`. An empty
    path, and one that can't be one, is a ValueError. All methods raise AgentError; an AgentRefused with status 403
    speaks of the path, and `policy` says then what may be asked for.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        workspace: Path | None = None,
        folder: str = wire.WORKSPACE,
        policy: str = _POLICY,
    ) -> None:
        self._transport = transport
        self._folder = folder
        self._policy = policy
        self._where = f"{wire.WORKSPACE} is {workspace}; other files of this machine need no copying."
        self._is_here = workspace is not None

    # ------------------------------------------------------------ whole files

    def put(self, local: Path, remote: str, progress: Progress | None = None) -> str:
        """Copies a file of this machine to the agent, and returns its path there.

        Directories that are missing are made; a path with `/` at its end is that of one. The file is sent once. Raises
        ValueError when `local` is no file.
        """
        if not local.is_file():
            raise ValueError(f"{local} is no file: use the path of a file on this machine")
        path = self._checked(remote)
        if path.endswith("/"):
            path += local.name
        self._make_room_for(path)
        upload = _Upload(path, local.stat().st_size, partial(_pieces_of_file, local), progress)
        self._send(upload, path)
        return path

    def put_content(self, content: bytes | memoryview, remote: str, progress: Progress | None = None) -> None:
        """Writes a file of the agent, whose directory must be there; again for a while when no answer comes."""
        view = memoryview(content).cast("B")
        path = self._checked(remote)
        self._send(_Upload(path, view.nbytes, partial(_pieces_of, view), progress), path, again=True)

    def _send(self, upload: "_Upload", path: str, *, again: bool = False) -> None:
        content = Stream(upload.content_type, upload.length, upload.begin)
        request = Request("POST", wire.FILES_UPLOAD, {"path": path}, content=content)
        stored = self._change(request, again=again)
        if stored not in (None, upload.size):
            raise BadReply(
                f"it stored {stored:,} of the {upload.size:,} bytes of {path}",
                agent=self._transport.label,
                hint="Copy it again.",
            )

    def _make_room_for(self, path: str) -> None:
        parent = posixpath.dirname(path)
        if parent in ("/", "/tmp"):
            return
        try:
            self.mkdir(parent)
        except AgentRefused as error:
            if error.status != 409 and error.code != "FILE_ALREADY_EXISTS":
                raise

    def get(self, remote: str, local: Path, progress: Progress | None = None, *, most: int | None = None) -> Path:
        """Copies a file of the agent to this machine, and returns where it is: in `local`, if that is a folder.

        Raises BadReply for one of more than `most` bytes.

        What is there already is replaced when all has arrived, and untouched otherwise. Tried again for a while when
        the connection breaks. Raises ValueError for a folder that isn't there, and OSError for one without room.
        """
        path = self._checked(remote)
        target = Path(os.path.realpath(local / posixpath.basename(path) if local.is_dir() else local))
        if target.is_dir():
            raise ValueError(f"{target} is a folder: use the paths of files, here and on the agent")
        if not target.parent.is_dir():
            raise ValueError(f"the folder {target.parent} does not exist: make it first")
        fresh = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}")
        request = self._download(path)
        download = _Download(fresh, self._transport, progress, most)
        try:
            with self._explained():
                reply = self._transport.read(request, download)
            with fresh.open("rb") as file:
                self._check_downloaded(reply.headers, file.read(_LONGEST_CATCH_ALL))
            if target.exists():
                shutil.copymode(target, fresh)
            fresh.replace(target)
        finally:
            fresh.unlink(missing_ok=True)
        return target

    def content(self, path: str, *, most: int) -> bytes | None:
        """What is in a file, its first `most` bytes if it has more; None when there is no such file."""
        content = _Content(most)
        try:
            with self._explained():
                reply = self._transport.read(self._download(self._checked(path)), content)
        except AgentRefused as error:
            if error.status == 404 and error.code in wire.FILE_UNKNOWN_CODES:
                return None
            raise
        except NotSupported:  # a 404 may speak of the file without a word of it
            if self.exists(path):
                raise
            return None
        self._check_downloaded(reply.headers, content.data)
        return bytes(content.data)

    def _download(self, path: str) -> Request:
        return Request("GET", wire.FILES_DOWNLOAD, {"path": path}, {"Accept-Encoding": "identity"})

    def _check_downloaded(self, headers: Mapping[str, str], start: bytes | bytearray) -> None:
        """Raises NotSupported for what an agent says that doesn't know downloads."""
        is_file = "content-disposition" in headers or "json" not in headers.get("content-type", "")
        if not is_file and len(start) < _LONGEST_CATCH_ALL:
            endpoint = f"GET {wire.FILES_DOWNLOAD}"
            wire.decode_file_reply(start, agent=self._transport.label, endpoint=endpoint)

    # ------------------------------------------------------------ looking and changing

    def list(self, path: str = ".") -> tuple[FileInfo, ...]:
        """What is in a directory, in the agent's order."""
        request = Request("GET", wire.FILES_LIST, {"path": self._checked(path)})
        with self._explained():
            return wire.decode_files(self._transport.read(request).body, agent=self._transport.label)

    def exists(self, path: str) -> bool:
        """Whether there is such a file or directory."""
        request = Request("GET", wire.FILES_EXISTS, {"path": self._checked(path)})
        try:
            with self._explained():
                return wire.decode_exists(self._transport.read(request).body, agent=self._transport.label)
        except AgentRefused as error:
            if error.status == 404 and error.code in wire.FILE_UNKNOWN_CODES:
                return False
            raise

    def _checked(self, path: str) -> str:
        """The path as an absolute one. Raises ValueError."""
        if not path or "\0" in path:
            raise ValueError(f"{path!r} is no path: use one like {self._folder}/data.csv")
        return self._folder if path == "." else posixpath.join(self._folder, path)

    def mkdir(self, path: str) -> None:
        """Makes a directory, and those above it that are missing."""
        content = msgspec.json.encode({"path": self._checked(path)})
        self._change(Request("POST", wire.FILES_MKDIR, content=content), again=True)

    def remove(self, path: str) -> None:
        """Removes a file, or a directory with all that is in it."""
        self._change(Request("DELETE", wire.FILES_REMOVE, {"path": self._checked(path)}))

    def _change(self, request: Request, *, again: bool = False) -> int | None:
        """Sends a request that changes a file, and returns the size of that, where the agent tells it.

        One that does no more when it is done twice may be sent `again`, for a while, when no answer comes.
        """
        with self._explained():
            reply = self._transport.read(request) if again else self._transport.send(request)
        endpoint = f"{request.method} {request.path}"
        return wire.decode_file_reply(reply.body, agent=self._transport.label, endpoint=endpoint)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Says of a refusal what it means where it is about files."""
        try:
            yield
        except AgentRefused as error:
            if error.status == 405 or (error.status == 404 and not error.code):  # a 404 of a file has a code
                raise NotSupported("this agent does not serve files in this way", agent=error.agent) from None
            if error.status == 403:
                error.hint = self._where if self._is_here else self._policy
            if error.status == 404 and error.code in wire.FILE_UNKNOWN_CODES:
                error.hint = self._where if self._is_here else None
            raise


class _Upload:
    """A file as a multipart form, with the path that it gets. `pieces` makes its content, anew for each try."""

    def __init__(self, path: str, size: int, pieces: Callable[[int], Iterator[bytes]], told: Progress | None) -> None:
        self.size = size
        boundary = secrets.token_hex(16)
        name = posixpath.basename(path).translate({ord(char): f"%{ord(char):02X}" for char in '"\r\n'})
        self._head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="path"\r\n\r\n{path}\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        self._end = f"\r\n--{boundary}--\r\n".encode()
        self._pieces = pieces
        self._progress = told or (lambda done, total: None)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self.length = len(self._head) + self.size + len(self._end)

    def begin(self) -> Generator[bytes]:
        """The form, piece by piece. Raises HopxError when there is less of the file than at first."""
        done = 0
        self._progress(done, self.size)
        yield self._head
        for piece in self._pieces(self.size):
            yield piece
            done += len(piece)
            self._progress(done, self.size)
        yield self._end


def _pieces_of_file(path: Path, size: int) -> Iterator[bytes]:
    """The first `size` bytes of a file: no more than it had at first. Raises HopxError when there are fewer."""
    left = size
    with path.open("rb") as file:
        while piece := file.read(min(_CHUNK, left)):
            left -= len(piece)
            yield piece
    if left:
        raise HopxError(f"{path} became shorter while it was sent", hint="Send it when nothing writes to it.")


def _pieces_of(content: memoryview, size: int) -> Iterator[bytes]:
    for start in range(0, size, _CHUNK):
        yield bytes(content[start : start + _CHUNK])


class _Content:
    """Takes the first `most` bytes of what arrives, from its beginning each time that it is called."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.data = bytearray()

    def __call__(self, headers: Mapping[str, str], chunks: Iterator[bytes]) -> None:
        self.data.clear()
        for chunk in chunks:
            self.data += chunk[: self._most - len(self.data)]
            if len(self.data) == self._most:
                return


class _Download:
    """Writes what arrives to a file, from its beginning each time that it is called."""

    def __init__(self, file: Path, transport: Transport, progress: Progress | None, most: int | None) -> None:
        self._file = file
        self._most = most
        self._transport = transport
        self._progress = progress or (lambda done, total: None)

    def __call__(self, headers: Mapping[str, str], chunks: Iterator[bytes]) -> None:
        """Raises BadReply when it can't be told whether all has arrived."""
        length = headers.get("content-length", "")
        total = int(length) if length.isdecimal() else None
        whole_is_certain = total is not None or "chunked" in headers.get("transfer-encoding", "")
        if not whole_is_certain or "content-encoding" in headers:
            raise BadReply("it does not send the file as it is, with its size", agent=self._transport.label)
        done = 0
        self._progress(done, total)
        with self._file.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
                done += len(chunk)
                self._progress(done, total)
                if self._most is not None and done > self._most:
                    raise BadReply(f"it sends more than the {self._most:,} bytes expected", agent=self._transport.label)
