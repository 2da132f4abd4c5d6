"""Takes over whatever earlier agents left in the folder, wherever death met them."""

import asyncio
import time
from collections.abc import Mapping

from .active import Active, spawned
from .endings import conclude, never_started
from .family import Family, Member, marks, read_table
from .forks import NEVER
from .journal import Ended
from .launching import Launching
from .pausing import Pausing
from .processes import Processes
from .store import Folder


def adopt(processes: Processes, launching: Launching, pausing: Pausing) -> None:
    """Takes all processes of earlier agents over. Must be called in the event loop, once, before any launch."""
    known = processes.journal.read()
    found = [known.get(folder.path.name) or _examine(processes, folder) for folder in processes.store.folders()]
    for item in sorted(found, key=lambda item: item.sequence):
        processes.add(item)
    _find_leftovers(processes, known)
    _try_again(processes, launching, known)
    processes.finished.sort()
    _hold_unheard(processes)
    if any(ended.process_id not in known for ended in processes.finished):
        processes.rewrite_journal()
    asyncio.get_running_loop().run_in_executor(None, processes.delete, processes.store.leftovers())
    _take_over_callbacks(processes)
    processes.notices.begin(processes.finished, processes.store.folder)
    unmet = [(active, *before) for active in processes.going() if (before := _unmet(processes, active))]
    processes.forget()
    for active in processes.going():
        launching.go_on(active)
        if active.is_paused and active.begun is not None:
            spawned(pausing.go_on(active))
    for active, launched_as, failed in unmet:
        processes.give_up(active, launched_as, failed)
    launching.start_queued()


def _unmet(processes: Processes, active: Active) -> tuple[str, Ended] | None:
    """What a queued process comes after and has not completed; finds out for whom it still has to wait.

    What is forgotten has completed, or the process would have ended when that ended.
    """
    launched = active.launched
    if active.begun is not None:
        return None
    active.waits_on = processes.awaited(launched.after, launched.after_any)
    found = ((process_id, processes.last_try(process_id)) for process_id in launched.after)
    unmet = ((id_, item) for id_, item in found if isinstance(item, Ended) and item.status != "completed")
    return next(unmet, None)


def _examine(processes: Processes, folder: Folder) -> Active | Ended:
    launched = folder.read_launch()
    evidence = folder.read_evidence()
    if evidence.alive and (evidence.start or not launched.keeper):
        active = Active(launched, folder)
        active.start, active.begun = evidence.start, evidence.start.time if evidence.start else time.time_ns()
        active.intent, active.pauses = evidence.intent.text, folder.read_pauses()
        active.gpus = folder.read_gpus()
        if not launched.retries:
            folder.drop_env()
        return active
    waits = launched.keeper and evidence.alive and not evidence.intent.text
    if (waits or never_started(evidence)) and not launched.damaged:
        active = Active(launched, folder)
        active.pauses = folder.read_pauses()
        return active
    if not launched.retries:
        folder.drop_env()
    folder.open_gate(NEVER)
    return conclude(launched, folder, processes.settings.output_limit)


def _try_again(processes: Processes, launching: Launching, known: Mapping[str, Ended]) -> None:
    """Tries again what has failed while there was no agent; and what an agent had no time to put on record."""
    items = list(processes.all.values())
    tries = {item.launched.retry_of if isinstance(item, Active) else item.retry_of: item.process_id for item in items}
    for ended in items:
        if isinstance(ended, Active) or ended.process_id in known:
            continue
        folder = processes.store.folder(ended.process_id)
        if (launched := folder.read_launch()).retries:
            again = tries.get(ended.process_id) or launching.try_again(Active(launched, folder), ended)
            processes.all[ended.process_id] = ended.with_retry(again)
            processes.finished.replace(ended.with_retry(again))
            folder.drop_env()


def _find_leftovers(processes: Processes, known: Mapping[str, Ended]) -> None:
    """Who lives of processes that have ended: of those whose end an agent has seen, who was left then."""
    families = [
        family for ended in processes.finished if (family := _family(processes, ended, ended.process_id in known))
    ]
    if not families:
        return
    table = read_table()
    marked = marks(table)
    for family in families:
        if family.look(table, marked):
            processes.leftovers.keep(family)
        processes.leave(family.process_id, family.known)


def _family(processes: Processes, ended: Ended, was_seen: bool) -> Family | None:
    if was_seen:
        left = (Member(*each) for each in ended.leftovers)
        return Family(ended.process_id, None, left) if ended.leftovers else None
    folder = processes.store.folder(ended.process_id)
    start, end = folder.read_start(), folder.read_exit()
    if start is None:
        return None
    until = end.uptime if end else None
    strays = (Member(*stray) for stray in folder.read_strays())
    return Family(ended.process_id, None if until is None else start.group, strays, ended=until)


def _hold_unheard(processes: Processes) -> None:
    """Holds what nobody has heard of, and for a while also the others: who has may not have fetched the output."""
    heard = processes.journal.heard
    for is_heard in (True, False):
        for ended in processes.finished:
            if (ended.process_id in heard) == is_heard:
                processes.unheard.add(ended.process_id)
        if is_heard:
            processes.unheard.tell()


def _take_over_callbacks(processes: Processes) -> None:
    for process_id in processes.callbacks.process_ids:
        item = processes.all.get(process_id)
        if item is None:  # its launch came to nothing
            processes.callbacks.drop(process_id)
        elif isinstance(item, Ended):
            processes.callbacks.deliver(item, processes.store.folder(process_id))
