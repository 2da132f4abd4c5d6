"""Everything about one agent, through the notebook's named link to it."""

from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ..client.agent import Agent
from ..client.capture import Capture, CapturedOutput, ExitCodes, decide, is_run_id, wrapped
from ..client.commands import run_command
from ..client.files import Files
from ..client.sent_runner import through_runner
from ..client.transport import Locate, Transport
from ..errors import (
    HopxError,
    LaunchError,
    NotSupported,
)
from ..kept import KeptRun
from ..models import (
    Change,
    CommandResult,
    Launch,
    Listing,
    Notify,
    Place,
    Process,
    ProcessId,
)
from ..notices import DESKTOP, USE_A_URL
from ..protocol.changes import aged, compare
from ..protocol.replies import Launched
from ..protocol.requests import FORMER
from ..results import KeptFiles
from ..run_history.database import Database
from ..run_history.recorder import Recorder
from ..run_history.seal import Seal
from ..settings import Settings
from ..words import Feature
from .elsewhere import (
    as_program,
    values_left_behind,
    without_desktop,
    without_former,
)
from .features import check_features, features_of, needed_features
from .files_there import LeftThere
from .killing import kill
from .languages import Languages
from .launching import again, launch_again, launch_all
from .output import OutputReader
from .queueing import pause, queue
from .recalling import differing, given, recall
from .sending import Sender, Sending
from .watcher import Watcher

if TYPE_CHECKING:
    from ..client.sandbox import Expiry


class Connection:
    """The notebook's named link to one agent: what it lists, launches, ends and has written goes through it.

    `name` is what the notebook calls it, and `url` its address, None for agents that may move: the local one, and
    sandboxes'. Methods may be called from several threads.
    """

    kind = "agent"
    """What errors call that to which it leads."""

    launches_once = False
    """Whether a launch can be sent again, since the agent launches once per Idempotency-Key."""

    launched_side_by_side = 1
    """How many launches it may be sent at the same time, each by itself."""

    trusted = False
    """Whether what cells have left there is loaded like what they leave here."""

    listing_time: float | None = None
    """Seconds that the agent has to answer with its listing, if not as many as for everything else."""

    capture: Capture = "auto"
    """Who keeps the output of what is launched from here: the agent, or files that the launch itself writes."""

    captures = True
    """Whether launches may have kept their output in files."""

    workspace: Path | None = None
    """The folder of this machine that is the agent's `/workspace`, if it is here."""

    def __init__(
        self,
        place: Place,
        locate: Locate,
        settings: Settings,
        recorder: Recorder,
        *,
        url: str | None = None,
        expiry: "Expiry | None" = None,
    ) -> None:
        self.place = place
        self.url = url
        self.expiry = expiry
        """When its sandbox ends; None where there is none, or nobody can tell."""
        self.locate = locate
        """How its agent is found."""
        self.latest: Listing | None = None
        """The last listing that there is of it."""
        self.unwaited: dict[ProcessId, None] = {}
        """What was launched from here and neither waited for nor killed since."""
        self._said: set[str] = set()
        self.remarks: deque[str] = deque()
        """What the user should be told of it, and has not been told yet."""
        self._settings = settings
        self.open(recorder)

    def open(self, recorder: Recorder) -> None:
        """Begins with sockets, threads and locks of its own; in a forked child those of its parent are of no use."""
        settings, place = self._settings, self.place
        self._parents = vars(self).get("agent")  # whose sockets must stay open
        transport = Transport(
            place.connection,
            self.locate,
            timeout=settings.reply_time,
            retry_time=settings.retry_time,
            max_reply=settings.max_reply,
            kind="sandbox" if place.sandbox else self.kind,
            is_here=not (place.sandbox or self.url),
        )
        self.agent = self._agent(transport)
        self.captured = CapturedOutput(transport)
        self.outputs = OutputReader(self, kept=settings.history_stream, seal=recorder.seal)
        self.files = self._files(transport)
        self._sender = self._new_sender()
        self._left = LeftThere(self.files, self.name)
        self.watcher = Watcher(self)
        self._exit_codes = ExitCodes(self.captured)
        self._languages = Languages(self)
        self.recorder = recorder
        self._record = recorder.listings_of(place, self.outputs.ends_to_keep)

    def _agent(self, transport: Transport) -> Agent:
        return Agent(transport, launches_once=self.launches_once, listing_time=self.listing_time)

    def _new_sender(self) -> Sender:
        return Sender(self.files, self.name)

    def _files(self, transport: Transport) -> Files:
        return Files(transport, workspace=self.workspace)

    def close(self) -> None:
        """Ends all that is under way to the agent, which itself goes on."""
        self.watcher.close()
        self.agent.close()

    def move(self, other: "Connection") -> None:
        """Goes on where another connection, which is closed, has found the agent; runs and watchers go on with it."""
        Connection.close(other)
        self.locate = other.locate
        self.agent.transport.move(other.locate)
        self._sender = self._new_sender()
        self.expiry = other.expiry or self.expiry

    @property
    def name(self) -> str:
        """What the notebook calls it."""
        return self.place.connection

    @property
    def history(self) -> Database:
        """The history in which it is recorded what goes on here."""
        return self.recorder.history

    @property
    def seal(self) -> Seal:
        """By what the history knows again what this user's own programs have left."""
        return self.recorder.seal

    def __repr__(self) -> str:
        sandbox = self.place.sandbox and f"sandbox {self.place.sandbox}"
        return f"<Connection {self.name}: {self.url or sandbox or 'this machine'}>"

    # ------------------------------------------------------------ list

    def listing(self, *, tail: int | None = None) -> Listing:
        """The listing as it is now, each stream cut to its last `tail` bytes if the agent can do that."""
        known = self.latest
        told = self.agent.listing(tail=tail, known=known)
        change = Change(aged(told, datetime.now(UTC)), ()) if told is known else Change(self._completed(told))
        self._remember(change)
        return change.listing

    def change_since(self, known: Listing | None, *, tail: int | None = None, wait: float = 0.0) -> Change:
        """The listing as it is now, and in what it differs from the one that is `known`: see `Agent.change_since`."""
        told = self.agent.change_since(known, tail=tail, wait=wait)
        change = told if isinstance(told, Change) else compare(known, self._completed(told))
        self._remember(change)
        return change

    def _completed(self, listing: Listing) -> Listing:
        """The listing, with what the agent doesn't tell of launches that have kept their output in files."""
        return self._languages.complete(self._exit_codes.complete(listing)) if self.captures else listing

    @property
    def features(self) -> frozenset[Feature]:
        """What it can do, of `hopx_magics.FEATURES`; asks its agent. One that does not answer can as little as any."""
        return features_of(self)

    def _remember(self, change: Change) -> None:
        self.latest = change.listing
        self._record.take(change)

    recall = recall
    given = given
    differing = differing

    # ------------------------------------------------------------ launch

    def launch(self, launch: Launch) -> Process:
        """Launches once. It is written down before it is sent. Raises LaunchError and AgentError."""
        launch = self.at_home(launch)
        if launch.fork and launch.keeper is None:
            return self._launch_fork(launch)
        try:
            self.recorder.begin([launch], self.place)
            return self._send(launch)
        except BaseException as error:
            self.recorder.failed(launch, error)
            raise

    def stacks(self, process: Process) -> str:
        """Where the threads of a process were when they were asked that last: only forks of this program tell."""
        return ""

    def check_forks(self, count: int) -> None:
        """Raises LaunchError where so many forks of this program can't be at once."""
        raise self._no_fork()

    def _launch_fork(self, launch: Launch) -> Process:
        raise self._no_fork()

    def _no_fork(self) -> LaunchError:
        return LaunchError(
            f"a fork of this program can't be on {self.name}: its memory is on this machine",
            hint="Launch with --on local, or without --fork: then variables travel by copy.",
        )

    launch_all = launch_all
    again = again
    launch_again = launch_again

    def launch_assigned(self, launch: Launch) -> Process:
        """Launches here what is in the history already, and waited for an agent. Raises as `launch` does."""
        self.recorder.assigned(launch.run_id, self.place)
        return self._send(self.at_home(launch))

    def with_values_of(self, kept: KeptRun, launch: Launch) -> Launch:
        """The launch with the variables of the notebook that the run had."""
        if launch.language != "python" or kept.agent != self.place.agent or not is_run_id(kept.run_id):
            return launch
        try:
            return msgspec.structs.replace(launch, values=self._sender.values_of(kept.run_id))
        except NotSupported:
            return launch

    def at_home(self, launch: Launch, sending: Sending | None = None) -> Launch:
        """The launch as it is to be on this agent, which has all that it needs then.

        Raises LaunchError for what this one can't do and for what can't be sent, AgentError.
        """
        if launch.fork:
            raise self._no_fork()
        if needed := needed_features(launch):
            check_features(needed, self.agent.features(), self.name)
        if launch.former and FORMER not in self.agent.features():
            launch = without_former(launch, self.name)
        launch = msgspec.structs.replace(launch, surroundings=None, notify=self._told_where(launch.notify))
        if launch.language != "python" or launch.runner:
            return launch
        try:
            runner, values = self._sender.send(launch, sending)
        except NotSupported as error:
            program = as_program(launch, self.name, error)
            self.remark(values_left_behind(launch, self.name))
            return program
        return msgspec.structs.replace(launch, runner=runner, values=values)

    def _told_where(self, notify: Notify | None) -> Notify | None:
        """Where notices go, without a desktop that can't show them, which is said once."""
        if notify is None or DESKTOP not in notify.places or (lack := self._no_desktop) is None:
            return notify
        if lack not in self._said:
            self._said.add(lack)
            self.remark(lack)
        return without_desktop(notify)

    @property
    def _no_desktop(self) -> str | None:
        """Why the agent can't show anything on the user's desktop; None where it can."""
        return f"runs on {self.name} can't show notices on this desktop. {USE_A_URL}"

    def remark(self, note: str | None) -> None:
        """Has the user told something of it, once."""
        if note and note not in self.remarks:
            self.remarks.append(note)

    def _send(self, launch: Launch) -> Process:
        launched = self.agent.launch(self.prepared(launch))
        self.recorder.launched(launch.run_id, launched)
        return self.launched(launch, launched)

    def launched(self, launch: Launch, launched: Launched) -> Process:
        self.unwaited[launched.process_id] = None
        self.watcher.look()
        return Process(
            process_id=launched.process_id,
            execution_id=launched.execution_id,
            name=launch.name,
            status=launched.status,
            language=launch.language,
            run_id=launch.run_id,
        )

    def prepared(self, launch: Launch) -> Launch:
        """The launch as it is sent: for the runner, if that is there, and wrapped if its output would be lost else."""
        if launch.timeout is not None:
            self.remark(self.note(until=launch.timeout))
        if launch.runner:
            launch = through_runner(launch)
        if (self.decided_capture() if launch.capture == "auto" else launch.capture) != "files":
            return launch
        self.captures = True
        return wrapped(launch)

    def decided_capture(self) -> Capture:
        """Who keeps output here."""
        return self.capture if self.capture != "auto" else self._decide_capture()

    def _decide_capture(self) -> Capture:
        """Who keeps output here; asked again as long as only the lack of any process speaks for files."""
        try:
            decided = decide(self.agent, listing=self.latest)
        except HopxError:
            return "agent"  # the launch itself will say what is wrong
        if decided == "agent" or (self.latest and self.latest.processes):
            self.capture = decided
        return decided

    def kept_files(self, process: Process) -> KeptFiles:
        """The files of what its cell leaves: displays and values.

        Raises ResultError where there can be none, UnknownProcess when the agent no longer has them, AgentError.
        """
        return self._left.of(process, is_trusted=self.trusted)

    def is_ours(self, process: Process) -> bool:
        """Whether a process is among those that are meant by all: the agent's own are, whoever has launched them."""
        return True

    def room_for(self, launch: Launch) -> int | None:
        """How many such launches should be there at once, at most; None where the agent itself sees to that."""
        return None

    def has_displays(self, process: Process) -> bool:
        """Whether it is known without asking anybody that a process has displayed something, other than its error."""
        return False

    # ------------------------------------------------------------ kill, wait, commands

    kill = kill
    pause = pause
    queue = queue

    def waited(self, process_ids: Iterable[ProcessId]) -> None:
        """Takes note of it that these were waited for."""
        for process_id in process_ids:
            self.unwaited.pop(process_id, None)

    def run_command(self, command: str, *, timeout: float, workdir: str | None = None) -> CommandResult:
        """Runs a line of bash, and waits for it, for up to `timeout` seconds.

        Raises ValueError for a time limit that no agent grants, NotSupported, AgentError.
        """
        return run_command(self.agent.transport, command, timeout=timeout, workdir=workdir)

    def note(self, *, until: float | None = None) -> str | None:
        """What is to be said of its sandbox: that it ends soon, or before `until` seconds from now are over."""
        return self.expiry.note(self.name, until=until) if self.expiry else None
