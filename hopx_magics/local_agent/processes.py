"""All processes that an agent knows: queued, running, and ended as far as they are not forgotten yet."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from ..settings import Settings
from .active import Active, Former
from .answers import Refused
from .changes import Changes
from .delivering import Callbacks
from .endings import conclude
from .family import Member, Orphans
from .forgetting import Finished, Unheard
from .forks import NEVER
from .journal import Ended, Journal
from .leftovers import Leftovers
from .notices import Notices
from .outbox import Outbox
from .queue import Queue
from .records import Launched
from .resources import Resources
from .store import DEPENDENCY, Store, delete
from .values import remove_unneeded, values_folder


class Processes:
    """The processes of an agent folder. Everything here runs on the event loop's thread.

    `all` has them by their ids in the order of their launches, `running` those that were started and have not ended.
    `changes` is told of every change in the life of one of them.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.changes = Changes()
        self.store = Store(settings.agent_folder / "processes")
        self.journal = Journal(settings.agent_folder / "finished.jsonl")
        self.callbacks = Callbacks(settings.agent_folder / "callbacks", settings.callback_retry)
        self.unheard = Unheard(settings.hold_time)
        self.all: dict[str, Active | Ended] = {}
        self.running: dict[str, Active] = {}
        self.orphans = Orphans()
        outbox = Outbox(settings.agent_folder / "outbox", settings.callback_retry, self.orphans, self.note)
        self.notices = Notices(settings.agent_folder / "notices", settings.callback_retry, outbox, self._is_going)
        self.leftovers = Leftovers(self.running, self.orphans, self.leave)
        self.resources = Resources(self.running, settings.gpus)
        self.queue = Queue(self.running, settings.max_running, settings.agent_folder / "queue.json", self.resources)
        self.finished = Finished(settings, self.callbacks, self.unheard, self._needed)
        self.try_again: Callable[[Active, Ended], str | None] = lambda active, ended: None
        """Called with what has ended; launches it once more if it is to be, and returns the id of that."""
        self.note_end: Callable[[Active, Ended], None] = lambda active, ended: None
        """Called with what has ended."""
        self.make_room: Callable[[], None] = lambda: None
        """Called when something has ended, and others may start."""
        self._needing: dict[str, Active] = {}
        self._keys: dict[str, str] = {}
        self._sequence = 0

    @property
    def busy(self) -> bool:
        """Whether something is queued or running, or somebody is still to be told of an end."""
        return bool(self.running or self.queue or self.callbacks.busy or self.notices.busy)

    def next_sequence(self) -> int:
        """The time in nanoseconds, but later than that of any launch so far."""
        self._sequence = max(self._sequence + 1, time.time_ns())
        return self._sequence

    def going(self) -> Iterator[Active]:
        """Those that have not ended, in the order of their launches."""
        return (item for item in self.all.values() if isinstance(item, Active))

    def _needed(self) -> set[str]:
        """Those of which something that has not ended may want what they have kept, or of which is still to be told."""
        ids = {id_ for active in self._needing.values() for ids in active.launched.former.values() for id_ in ids}
        return {last.process_id for id_ in ids if (last := self.last_try(id_))} | ids | {*+self.notices.needed}

    def _is_going(self, group: str) -> bool:
        """Whether something has still to end of which somebody is told with a group."""
        return any(active.launched.told and active.launched.told.group == group for active in self.going())

    def last_try(self, process_id: str) -> Active | Ended | None:
        """What has become of a process, or of the last time that it was tried again, if that is known."""
        item = self.all.get(process_id)
        while isinstance(item, Ended) and item.retried_as and (again := self.all.get(item.retried_as)):
            item = again
        return item

    def awaited(self, after: Iterable[str], after_any: Iterable[str]) -> dict[str, Former]:
        """Those that have to end before something starts that comes after these."""
        wanted = [(process_id, True) for process_id in after] + [(process_id, False) for process_id in after_any]
        return {
            item.process_id: Former(process_id, must_complete)
            for process_id, must_complete in reversed(wanted)
            if isinstance(item := self.last_try(process_id), Active)
        }

    def find(self, process_id: str) -> Active | Ended:
        """The process of that id. Raises Refused when there is none."""
        item = self.all.get(process_id)
        if item is None:
            process_id = process_id[:80]
            raise Refused(404, "PROCESS_NOT_FOUND", f"there is no process {process_id}", {"process_id": process_id})
        return item

    def launched_with(self, key: str) -> Launched | None:
        """The launch that was made with this Idempotency-Key."""
        process_id = self._keys.get(key)
        item = self.all.get(process_id) if process_id else None
        if item is None:
            return None
        return item.launched if isinstance(item, Active) else self.store.folder(item.process_id).read_launch()

    def add(self, item: Active | Ended) -> None:
        """Takes in a process, after all that were launched before it."""
        self._sequence = max(self._sequence, item.sequence)
        if isinstance(item, Ended):
            self.finished.add(item)
        elif item.launched.former:
            self._needing[item.process_id] = item
        self.all[item.process_id] = item
        if item.key:
            self._keys[item.key] = item.process_id

    def finish(self, active: Active, left: Collection[Member]) -> None:
        """Puts on record, and tells everyone, how a process ended that isn't alive any more, and whom it has left."""
        ended = self._put_on_record(active, left)
        self._tell_followers(ended)
        self.make_room()

    def _put_on_record(self, active: Active, left: Collection[Member]) -> Ended:
        if active.launched.keeper and active.begun is None:
            active.folder.open_gate(NEVER)
        ended = conclude(
            active.launched,
            active.folder,
            self.settings.output_limit,
            observed=time.time_ns(),
            usage=active.meter.at_end(),
        )
        if active.family is not None and left:
            ended = ended.with_leftovers(left)
            self.leftovers.keep(active.family)
        if active.launched.retries:
            ended = ended.with_retry(self.try_again(active, ended))  # ahead of the record, or it might be lost
            active.folder.drop_env()
        if active.notice:
            ended = ended.with_notice(active.notice)
        self.journal.add(ended)
        self.running.pop(active.process_id, None)
        self._needing.pop(active.process_id, None)
        self.add(ended)
        self.callbacks.deliver(ended, active.folder)
        self.notices.end(ended, active.folder)
        self.unheard.add(active.process_id)
        self.note_end(active, ended)
        active.finished.set()
        self.changes.tell(active.process_id, *self.forget())
        return ended

    def _tell_followers(self, ended: Ended) -> None:
        """Lets those go on that come after what has ended; or ends them, too, where that should have completed."""
        left = [ended]
        while left:
            before = left.pop()
            for active, former in self.queue.followers(before.process_id, before.retried_as):
                if before.status != "completed" and former.must_complete and before.retried_as is None:
                    left.append(self._give_up(active, former.launched_as, before))
                else:
                    self.changes.tell(active.process_id)

    def give_up(self, active: Active, launched_as: str, before: Ended) -> None:
        """Ends a queued process since one that it comes after has not completed, and those that come after it."""
        if self.all.get(active.process_id) is active:
            self._tell_followers(self._give_up(active, launched_as, before))

    def _give_up(self, active: Active, launched_as: str, before: Ended) -> Ended:
        self.queue.remove(active)
        with contextlib.suppress(OSError):
            active.folder.write_intent(f"{DEPENDENCY} {launched_as} {before.status}")
            active.folder.drop_env()
        return self._put_on_record(active, ())

    def leave(self, process_id: str, left: Collection[Member]) -> None:
        """Puts on record, and tells everyone, who is left of a process that has ended."""
        ended = self.all.get(process_id)
        if not isinstance(ended, Ended):
            self.leftovers.drop(process_id)
            return
        self._replace(ended.with_leftovers(left))

    def note(self, process_id: str, notice: str | None) -> None:
        """Puts on record, and tells everyone, why a notice of a process did not arrive; None when it has."""
        item = self.all.get(process_id)
        if item is None or item.notice == notice:
            return
        if isinstance(item, Ended):
            self._replace(item.with_notice(notice))
        else:
            item.notice = notice
            self.changes.tell(process_id)

    def _replace(self, ended: Ended) -> None:
        self.journal.add(ended)
        self.all[ended.process_id] = ended
        self.finished.replace(ended)
        self.changes.tell(ended.process_id)

    def tell(self) -> None:
        """A listing is being answered, by which somebody hears of all that have ended by now."""
        if self.unheard.tell():
            self.journal.mark_heard()

    def rewrite_journal(self) -> None:
        """Makes the journal anew. What can't be understood stays out, and is looked at again by the next agent."""
        self.journal.rewrite((ended for ended in self.finished if ended.status != "unknown"), self.unheard.untold)

    def forget(self) -> list[str]:
        """Forgets what has ended where that is too much, and returns the ids."""
        gone, forgotten = [], self.finished.take_superfluous()
        for ended in forgotten:
            del self.all[ended.process_id]
            self._keys.pop(ended.key or "", None)
            self.leftovers.drop(ended.process_id)
            with contextlib.suppress(OSError):
                gone.append(self.store.take_out(ended.process_id))
        if gone:
            asyncio.get_running_loop().run_in_executor(None, self.delete, gone)
        if self.journal.lines > 2 * len(self.finished) + 1000:
            self.rewrite_journal()
        return [ended.process_id for ended in forgotten]

    def delete(self, folders: list[Path]) -> None:
        """Deletes folders, and the values that nothing needs any more."""
        delete(folders)
        remove_unneeded(values_folder(self.settings.agent_folder / "workspace"))
