"""What the package offers to plain Python. One session is shared by all callers and by the magics.

```python
import hopx_magics as hopx

run = hopx.launch("print(1)", name="one")
run.wait()
hopx.ps(status="running")
```
"""

from .common import checked_statuses, runs_of, session
from .launching import attach, connect, connections, launch, rerun, sweep
from .past import diff, history, looked, news, prune, show, tell_origin, use_history
from .tables import OUTPUTS, TAIL, WATCH_GROUPS, WATCH_SORTS, close_tables, frame_of, ps, watch
from .waiting import kill, wait

__all__ = [
    "OUTPUTS",
    "TAIL",
    "WATCH_GROUPS",
    "WATCH_SORTS",
    "attach",
    "checked_statuses",
    "close_tables",
    "connect",
    "connections",
    "diff",
    "frame_of",
    "history",
    "kill",
    "launch",
    "looked",
    "news",
    "prune",
    "ps",
    "rerun",
    "runs_of",
    "session",
    "show",
    "sweep",
    "tell_origin",
    "use_history",
    "wait",
    "watch",
]
