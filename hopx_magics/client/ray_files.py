"""The files of runs on a Ray cluster: what they are sent, as packages, and what they leave, in log folders of nodes.

The dashboard gives files only whole, takes none but packages, and does not tell how large they are. When it is busy it
gives one that is missing as an empty one.
"""

import glob
import posixpath
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..errors import AgentRefused, NotSupported
from ..models import FileInfo, RunId
from ..protocol import ray as wire
from ..protocol.requests import RUNS
from .files import Files, Progress
from .ray_logs import MISSING, RayLogs
from .ray_logs import RUNS as RUNS_THERE
from .ray_packages import LARGEST, Packages
from .sent_runner import SENT, run_folder
from .transport import Request, Transport

_LACK = "Ray takes no files"
_INSTEAD = "Let the cell read from a folder that its nodes can read, or send values with --in."


class RayFiles(Files):
    """The files of one cluster. `node_of` tells the node of a run, None while it has none.

    A path is `RUN_ID/FILE`, of a file in the work folder of a run, or one in `RUNS`, as agents elsewhere have them.
    """

    def __init__(
        self, transport: Transport, packages: Packages, logs: RayLogs, node_of: Callable[[RunId], str | None]
    ) -> None:
        super().__init__(transport, folder=RUNS)
        self._packages = packages
        self._logs = logs
        self._node_of = node_of

    # ------------------------------------------------------------ what runs are sent

    def mkdir(self, path: str) -> None:
        """Nothing has to be made."""

    def put_content(self, content: bytes | memoryview, remote: str, progress: Progress | None = None) -> None:
        """Sends a file that is named by its content."""
        self._packages.add_file(posixpath.basename(remote), content)
        if progress:
            progress(memoryview(content).nbytes, memoryview(content).nbytes)

    def remove(self, path: str) -> None:
        """Ray itself removes what no job has."""

    def put(self, local: Path, remote: str, progress: Progress | None = None) -> str:
        """Raises NotSupported."""
        raise NotSupported(_LACK, agent=self._transport.label, hint=_INSTEAD)

    def send_again(self, run_id: RunId, names: Sequence[str]) -> None:
        """Sends from the node of a run those of its values again that are no packages any more, as far as it has them.

        Raises LaunchError, AgentError.
        """
        missing = {*names} - {name for name, _ in self._packages.files()}
        for name in sorted(missing):
            content = self.content(f"{run_folder(run_id)}/in/{name}", most=LARGEST)
            if content is not None and name.endswith(f"-{len(content)}"):
                self._packages.add_file(name, content)

    # ------------------------------------------------------------ what runs leave

    def list(self, path: str = ".") -> tuple[FileInfo, ...]:
        """What is in a folder of a run; of `SENT`, what was sent from here, and is there for some minutes."""
        if path == SENT:
            return tuple(FileInfo(name=name, path=f"{SENT}/{name}", size=size) for name, size in self._packages.files())
        node, there = self._placed(self._checked(path))
        if node is None:
            return ()
        with self._explained():
            found = self._logs.names(node, f"{glob.escape(there)}/*")
            if not found and not self._logs.names(node, glob.escape(there)):
                raise AgentRefused(f"there is no {path}", agent=self._transport.label, status=404, code=_UNKNOWN)
        return tuple(_info(name, path.rstrip("/")) for name in found)

    def get(self, remote: str, local: Path, progress: Progress | None = None, *, most: int | None = None) -> Path:
        """Copies a file that a run has left to this machine: see `Files.get`."""
        node, _ = self._placed(self._checked(remote))
        if node is not None and not self.exists(remote):
            raise self._no_such_file()
        return super().get(remote, local, progress, most=most)

    def content(self, path: str, *, most: int) -> bytes | None:
        """What is in a file, its first `most` bytes if it has more; None when there is no such file."""
        content = super().content(path, most=most)
        return None if content == b"" and not self.exists(path) else content

    def _no_such_file(self) -> AgentRefused:
        return AgentRefused("there is no such file", agent=self._transport.label, status=404, code=_UNKNOWN)

    def exists(self, path: str) -> bool:
        """Whether there is such a file or folder."""
        node, there = self._placed(self._checked(path))
        with self._explained():
            return node is not None and bool(self._logs.names(node, glob.escape(there)))

    def _checked(self, path: str) -> str:
        """The path as one in the folder of a run. Raises ValueError."""
        first, *names = path.removeprefix(f"{RUNS}/").rstrip("/").split("/")
        if not first.strip(".") or "\0" in path or ".." in names:
            raise ValueError(f"{path!r} is no path on a Ray cluster: use RUN_ID/FILE, of a file that a run has written")
        work = [] if path.startswith(f"{RUNS}/") else ["work"]
        return posixpath.join(RUNS, first.removeprefix(wire.MARK), *work, *names)

    def _placed(self, path: str) -> tuple[str | None, str]:
        """The node that has a file of a run, and the path in its log folder."""
        there = path.removeprefix(f"{RUNS}/")
        return self._node_of(RunId(there.partition("/")[0])), f"{RUNS_THERE}/{there}"

    def _download(self, path: str) -> Request:
        node, there = self._placed(path)
        if node is None:
            raise AgentRefused("the run has not begun", agent=self._transport.label, status=404, code=_UNKNOWN)
        return Request("GET", wire.LOG, {"node_id": node, "filename": there, "lines": "-1"}, _AS_IT_IS)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except AgentRefused as error:
            if error.status == 500 and MISSING in error.message:
                raise self._no_such_file() from None
            if error.status == 500 and _NODE_GONE in error.message:
                words = "the node on which it ran is gone, with its files"
                raise AgentRefused(words, agent=error.agent, status=404, code=_UNKNOWN) from None
            raise


_UNKNOWN = "FILE_NOT_FOUND"

_NODE_GONE = "Agent for node id"
"""What Ray says, with status 500, of a node that it has no more."""

_AS_IT_IS = {"Accept-Encoding": "identity"}


def _info(name: str, folder: str) -> FileInfo:
    own = posixpath.basename(name.rstrip("/"))
    return FileInfo(name=own, path=f"{folder}/{own}", is_directory=name.endswith("/"))
