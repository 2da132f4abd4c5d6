"""Takes over whatever earlier agents left in the folder, wherever death met them."""

import asyncio
import time

from .active import Active
from .endings import conclude, never_started
from .journal import Ended
from .launching import Launching
from .processes import Processes
from .store import Folder, delete


def adopt(processes: Processes, launching: Launching) -> None:
    """Takes all processes of earlier agents over. Must be called in the event loop, once, before any launch."""
    known = processes.journal.read()
    found = [known.get(folder.path.name) or _examine(processes, folder) for folder in processes.store.folders()]
    for item in sorted(found, key=lambda item: item.sequence):
        processes.add(item)
    processes.finished.sort()
    if any(ended.process_id not in known for ended in processes.finished):
        processes.journal.rewrite(ended for ended in processes.finished if ended.status != "unknown")
    asyncio.get_running_loop().run_in_executor(None, delete, processes.store.leftovers())
    _take_over_callbacks(processes)
    processes.forget()
    for item in processes.all.values():
        if isinstance(item, Active):
            launching.go_on(item)
    launching.start_queued()


def _examine(processes: Processes, folder: Folder) -> Active | Ended:
    launched = folder.read_launch()
    evidence = folder.read_evidence()
    if evidence.alive:
        active = Active(launched, folder)
        active.start, active.begun = evidence.start, evidence.start.time if evidence.start else time.time_ns()
        active.intent = evidence.intent.text
        folder.drop_env()
        return active
    if never_started(evidence) and not launched.damaged:
        return Active(launched, folder)
    folder.drop_env()
    return conclude(launched, folder, processes.settings.output_limit)


def _take_over_callbacks(processes: Processes) -> None:
    for process_id in processes.callbacks.process_ids:
        item = processes.all.get(process_id)
        if item is None:  # its launch came to nothing
            processes.callbacks.drop(process_id)
        elif isinstance(item, Ended):
            processes.callbacks.deliver(item, processes.store.folder(process_id))
