"""What is peculiar to the connection to this machine's own agent."""

import itertools
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from ..client.capture import Capture
from ..client.local import LocalAgent
from ..errors import LaunchError, UnknownProcess
from ..forking.cell import Plan, own_frames, present_shell
from ..forking.fork import fork
from ..forking.room import check_room
from ..forking.threads import loses_openmp
from ..kept import KeptRun
from ..models import CommandResult, Launch, Place, Process
from ..notices import NO_DESKTOP, has_desktop
from ..protocol.files import WORKSPACE
from ..protocol.requests import VALUES
from ..results import FolderHere, KeptFiles
from ..run_history.recorder import Recorder
from ..settings import Settings
from ..values.packed import Packed
from ..values.storing import restore, store
from .connection import Connection
from .features import check_features, needed_features
from .sending import Sending

LOCAL = "local"
"""The name of the connection to this machine's own agent, which needs no configuration."""


LISTING_TIME = 5.0
"""Seconds in which the local agent lists: it takes milliseconds, so that one which takes longer hangs."""


MOST_STACKS = 100_000
"""Bytes of stacks that are read, the last ones."""

_LONGEST_ERROR = 100_000
"""Bytes of displays that may be an error alone."""


class LocalConnection(Connection):
    """The connection to this machine's own agent: it keeps all output itself, and knows the folders of this program."""

    launches_once = True
    listing_time = LISTING_TIME
    capture: Capture = "agent"
    captures = False

    def __init__(self, settings: Settings, recorder: Recorder) -> None:
        self.workspace: Path = settings.agent_folder / "workspace"
        self._stored: tuple[Packed | None, tuple[str, ...], tuple[str, ...]] = (None, (), ())
        self._local_agent = LocalAgent(settings)
        super().__init__(local_place(settings), self._local_agent, settings, recorder)

    def _launch_fork(self, launch: Launch) -> Process:
        """Forks this program before anything is written down or sent, and launches that fork."""
        self._tell_of_threads(launch)
        with fork(self._plan(launch), self.recorder.locks) as forked:
            process = self.launch(msgspec.structs.replace(launch, keeper=forked.pid))
            forked.begin(self._folder(str(process.process_id)))
        return process

    def check_forks(self, count: int) -> None:
        """Raises LaunchError where so many forks can't be at once: see `Connection.check_forks`."""
        check_room(count)

    def launch_assigned(self, launch: Launch) -> Process:
        """Launches what waited for an agent: see `Connection.launch_assigned`. A fork can't have waited."""
        if launch.fork:
            raise LaunchError(
                "a fork has to be launched at once, and by its agent alone",
                hint="Launch it on this machine alone: --on local.",
            )
        return super().launch_assigned(launch)

    def launch_all(self, launches: Iterable[Launch]) -> Iterator[list[Process]]:
        """Launches one after the other; forks each by itself: see `Connection.launch_all`."""
        launches = iter(launches)
        for first in launches:
            together = itertools.chain([first], launches)
            if not first.fork:
                yield from super().launch_all(together)
            for launch in together:
                yield [self.launch(launch)]

    def _plan(self, launch: Launch) -> Plan:
        left, shell = self._local_agent.left(), present_shell()
        return Plan(
            shell=shell,
            namespace=vars(sys.modules["__main__"]) if shell is None else shell.user_ns,
            beside=launch.beside,
            title=launch.title,
            keep=launch.keep,
            env=launch.env,
            workdir=launch.workdir or os.curdir,
            threads=launch.threads,
            place=launch.index,
            ours=(str(self.history.file), *([left.socket] if left and left.socket else [])),
        )

    def _tell_of_threads(self, launch: Launch) -> None:
        note = "OpenMP has one thread in forks, since this old version of GNU's would wait for those of the kernel"
        if launch.threads is None and note not in self._said and loses_openmp():
            self._said.add(note)
            self.remark(note)

    def at_home(self, launch: Launch, sending: Sending | None = None) -> Launch:
        """The launch with its folder, by default the present one, as an absolute one, and with its values in files.

        An agent of another version makes way, if it has nothing to do. Raises LaunchError for what it can't do.
        """
        if self._local_agent.renew():
            self.agent.transport.move(self.locate)
        self._check_version(launch)
        return msgspec.structs.replace(
            launch,
            workdir=_folder(launch.workdir),
            values=self._store(launch),
            notify=self._told_where(launch.notify),
        )

    def _check_version(self, launch: Launch) -> None:
        version = self._local_agent.of_another_version()
        if version is not None and (needed := needed_features(launch)):
            try:
                check_features(needed, self.agent.features(), f"the local agent, still of version {version},")
            except LaunchError as error:
                error.hint = "The next launch replaces it when nothing runs or waits there any more."
                raise

    @property
    def _no_desktop(self) -> str | None:
        return None if has_desktop() else NO_DESKTOP

    def _store(self, launch: Launch) -> tuple[str, ...]:
        """Puts its values where the agent finds them; those of a sweep once. Raises LaunchError when they don't fit."""
        packed = launch.packed
        if packed is None or launch.values:
            return launch.values
        try:
            if packed.base is None:
                return self._stored_once(packed, launch.keep)
            return store(self._values, packed, launch.keep, self._stored_once(packed.base, ()))
        except OSError as error:
            raise LaunchError(
                f"the values of the notebook could not be written to {self._values}: {error.strerror}",
                hint="Make room there, or launch with --in none.",
            ) from error

    def _stored_once(self, packed: Packed, keep: tuple[str, ...]) -> tuple[str, ...]:
        """The files of what many launches share, which was written for the first of them."""
        known, kept, names = self._stored
        if known is not packed or kept != keep:
            names = store(self._values, packed, keep)
            self._stored = packed, keep, names
        return names

    def with_values_of(self, kept: KeptRun, launch: Launch) -> Launch:
        if kept.process_id is None:
            return launch
        try:
            names = restore(self._folder(kept.process_id) / "in", self._values)
        except OSError as error:
            raise LaunchError(f"the values of {kept.run_id} can't be used again: {error.strerror}") from error
        return msgspec.structs.replace(launch, values=names)

    @property
    def _values(self) -> Path:
        return self.workspace / Path(VALUES).relative_to(WORKSPACE)

    def kept_files(self, process: Process) -> KeptFiles:
        """Those in the process's own folder: none where it leaves nothing. Raises UnknownProcess when that is gone."""
        folder = self._folder(str(process.process_id))
        if not folder.is_dir():
            raise UnknownProcess(f"{self.name}: there is nothing of {process.process_id} (any more)")
        return FolderHere(folder / "out")

    def _folder(self, process_id: str) -> Path:
        return Path(self.place.agent) / "processes" / process_id

    def stacks(self, process: Process) -> str:
        """Where the threads of a fork were when they were asked that: see `Connection.stacks`."""
        try:
            with open(self._folder(str(process.process_id)) / "stacks", "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - MOST_STACKS))
                return own_frames(file.read().decode(errors="replace"))
        except OSError:
            return ""

    def has_displays(self, process: Process) -> bool:
        """Whether a process has displayed something, other than its error."""
        if process.process_id is None or process.language not in (None, "python"):
            return False
        path = os.path.join(self._folder(process.process_id), "out", "displays")
        try:
            size = os.stat(path).st_size
            return size > _LONGEST_ERROR or (size > 0 and not _is_error_alone(path))
        except OSError:
            return False

    def run_command(self, command: str, *, timeout: float, workdir: str | None = None) -> CommandResult:
        """Runs a line of bash in the present folder: see `Connection.run_command`."""
        return super().run_command(command, timeout=timeout, workdir=_folder(workdir))


def local_place(settings: Settings) -> Place:
    """The place of the local agent of these settings."""
    return Place(LOCAL, str(settings.agent_folder))


def _is_error_alone(path: str) -> bool:
    with open(path, "rb") as file:
        return all(line.startswith(b'{"output_type": "error"') for line in file)


def _folder(workdir: str | None) -> str:
    try:
        return os.path.abspath(os.path.expanduser(workdir or os.curdir))
    except FileNotFoundError:
        raise LaunchError(
            "the folder in which this notebook works is gone",
            hint="Go to another one with %cd, or use --cwd.",
        ) from None
