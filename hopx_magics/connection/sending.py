"""Sends to an agent elsewhere what its cells need: the runner, and their values. Each content is sent once."""

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from ..client.files import Files
from ..client.sent_runner import SENT, run_folder, runner_zip, sent_name
from ..errors import AgentRefused, BadReply, HopxError, LaunchError, NotSupported
from ..models import Launch, RunId
from ..values.packed import Packed, content_hash
from ..values.storing import Content, lay_out

LOOK_EVERY = 10.0
"""Seconds for which is known what is there: it may be removed there, too."""

ASK_AGAIN = 30.0
"""Seconds after which an agent that seems to take no files is asked again: it may have been a gateway that said so."""

TOLD_FROM = 1_000_000
"""Bytes from which it is told how far they are sent."""

LONGEST_NAME = 100

_REFUSES_FILES = (400, 403, 404)
"""What an agent answers that has files, but not where they are needed."""

_NAME = re.compile(r"[0-9a-f]{32}-\d{1,15}")

Sending = Callable[[str, int, int | None], object]
"""Called with what is sent, how many bytes of it were, and how many there are."""


class Sender:
    """Sends to one agent what its cells need, through its files. Safe to use from several threads."""

    def __init__(self, files: Files, name: str) -> None:
        self._files = files
        self._name = name
        self._known: set[str] = set()
        self._looked_at = -LOOK_EVERY
        self._refusal: NotSupported | None = None
        self._ask_again_at = 0.0
        self._shared: tuple[Packed | None, tuple[str, ...], tuple[str, ...]] = (None, (), ())
        self._lock = threading.Lock()

    def send(self, launch: Launch, sending: Sending | None = None) -> tuple[str, tuple[str, ...]]:
        """Makes sure that the runner and the launch's values are there: their names, the values' manifest first.

        Raises NotSupported where the agent takes no files, LaunchError when they can't be sent, AgentError.
        """
        runner, archive = runner_zip()
        contents: dict[str, Content] = {}
        with self._lock, self._asking_seldom():
            if time.monotonic() - self._looked_at > LOOK_EVERY:
                self._look()
            values = launch.values or self._laid_out(launch, contents)
            self._bring({runner: archive, **contents}, (runner, *values), _told(launch), sending)
        return runner, values

    @contextmanager
    def _asking_seldom(self) -> Iterator[None]:
        """Raises for some time what an agent has said that takes no files."""
        if self._refusal is not None and time.monotonic() < self._ask_again_at:
            raise self._refusal
        try:
            yield
        except NotSupported as refusal:
            self._refusal, self._ask_again_at = refusal, time.monotonic() + ASK_AGAIN
            raise

    def _laid_out(self, launch: Launch, contents: dict[str, Content]) -> tuple[str, ...]:
        """The names of the launch's values, whose contents are added; of what many launches share only once."""
        packed = launch.packed
        if packed is None:
            return ()
        if packed.base is None:
            return self._laid_out_once(packed, launch.keep, contents)
        base = self._laid_out_once(packed.base, (), contents)
        return lay_out(packed, launch.keep, _into(contents), base)

    def _laid_out_once(self, packed: Packed, keep: tuple[str, ...], contents: dict[str, Content]) -> tuple[str, ...]:
        known, kept, names = self._shared
        if known is packed and kept == keep and self._known.issuperset(names):
            return names
        found: dict[str, Content] = {}
        laid_out = lay_out(packed, keep, _into(found))
        if known is not packed or kept != keep:
            self._shared = packed, keep, laid_out
        elif laid_out != names:  # they have changed here since the launch, whose values they are
            return names
        contents |= found
        return laid_out

    def values_of(self, run_id: RunId) -> tuple[str, ...]:
        """The names of the values that a run has got, nothing where it has none. Raises NotSupported, AgentError."""
        folder = f"{run_folder(run_id)}/in"
        manifest = (self._files.content(f"{folder}/manifest", most=LONGEST_NAME) or b"").decode("ascii", "replace")
        names = [file.name for file in self._files.list(folder)] if manifest else []
        others = sorted(name for name in names if _NAME.fullmatch(name) and name != manifest)
        return (manifest, *others) if _NAME.fullmatch(manifest) else ()

    # ------------------------------------------------------------ what is there

    def _bring(self, contents: Mapping[str, Content], names: Sequence[str], told: str, sending: Sending | None) -> None:
        if {*names} - self._known - contents.keys():
            self._look()  # another program may have sent it
        missing = [name for name in names if name not in self._known]
        if not contents.keys() >= {*missing}:
            raise LaunchError(
                f"the values of this launch are no longer on {self._name}", hint="Launch the cell itself once more."
            )
        self._send_all({name: contents[name] for name in missing}, told, sending)

    def _look(self) -> None:
        """Finds out what is there already. Raises NotSupported where nothing can be."""
        try:
            listed = self._files.list(SENT)
        except (NotSupported, BadReply):  # or it has no word for a folder that isn't there
            self._make_folder()
        except AgentRefused as error:
            if error.status not in _REFUSES_FILES:
                raise
            self._make_folder()
            self._known = set()
        else:  # a file that is smaller or larger is only a part of what was to be sent
            self._known = {file.name for file in listed if file.name.endswith(f"-{file.size}")}
        self._looked_at = time.monotonic()

    def _make_folder(self) -> None:
        try:
            self._files.mkdir(SENT)
        except AgentRefused as error:
            if error.status in _REFUSES_FILES and error.code != "FILE_ALREADY_EXISTS":
                why = error.message.removeprefix(f"{error.agent}: ")
                raise NotSupported(f"it refuses to have {SENT}: {why}", agent=error.agent) from error
            if error.status != 409 and error.code != "FILE_ALREADY_EXISTS":
                raise

    # ------------------------------------------------------------ sending

    def _send_all(self, contents: Mapping[str, Content], told: str, sending: Sending | None) -> None:
        total, done = sum(memoryview(content).nbytes for content in contents.values()), 0
        tell = sending if sending and total >= TOLD_FROM else _tell_nobody
        for name, content in contents.items():
            try:
                with self._whole_or_not(name):
                    self._files.put_content(content, f"{SENT}/{name}", _behind(tell, told, done, total))
            except NotSupported:
                raise
            except HopxError as error:
                raise LaunchError(
                    f"{told} could not be sent to {self._name}, {total / 1e6:,.1f} MB in all, so nothing was "
                    f"launched: {error.message}",
                    hint=error.hint or "Make room there, or launch with --in none.",
                ) from error
            done += memoryview(content).nbytes
            self._known.add(name)

    @contextmanager
    def _whole_or_not(self, name: str) -> Iterator[None]:
        """Leaves nothing half there, as far as the agent still answers; it would not be taken for the whole."""
        try:
            yield
        except BaseException:
            self._looked_at = -LOOK_EVERY
            with suppress(HopxError):
                self._files.remove(f"{SENT}/{name}")
            raise


def _into(contents: dict[str, Content]) -> Callable[[Content, str | None], str]:
    def put(content: Content, digest: str | None) -> str:
        name = sent_name(digest or content_hash(content), memoryview(content).nbytes)
        contents[name] = content
        return name

    return put


def _told(launch: Launch) -> str:
    words = launch.packed.in_words() if launch.packed else ""
    return words or "what runs the cell"


def _tell_nobody(what: str, done: int, total: int | None) -> None:
    """Tells nobody how far it is."""


def _behind(sending: Sending, told: str, before: int, total: int) -> Callable[[int, int | None], object]:
    return lambda done, size: sending(told, before + done, total)
