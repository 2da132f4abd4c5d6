"""What the package offers to plain Python. One session is shared by all callers and by the magics.

```python
import hopx_magics as hopx

run = hopx.launch("print(1)", name="one")
run.wait()
hopx.ps(status="running")
```
"""

from .common import checked_statuses, runs_of, session
from .connecting import connect, connections, create, disconnect, extend, get, ls, put, run_command, sandboxes
from .launching import attach, launch, launch_on_each, rerun, sweep
from .past import diff, history, looked, news, prune, show, tell_origin, use_history
from .tables import OUTPUTS, TAIL, close_tables, frame_of, ps, watch
from .waiting import kill, wait

__all__ = [
    "OUTPUTS",
    "TAIL",
    "attach",
    "checked_statuses",
    "close_tables",
    "connect",
    "connections",
    "create",
    "diff",
    "disconnect",
    "extend",
    "frame_of",
    "get",
    "history",
    "kill",
    "launch",
    "launch_on_each",
    "looked",
    "ls",
    "news",
    "prune",
    "ps",
    "put",
    "rerun",
    "run_command",
    "runs_of",
    "sandboxes",
    "session",
    "show",
    "sweep",
    "tell_origin",
    "use_history",
    "wait",
    "watch",
]
