"""What the package offers to plain Python, one module a verb: all callers and the magics share one session.

```python
import hopx_magics as hopx

run = hopx.launch("print(1)", name="one")
run.wait()
hopx.ps(status="running")
```
"""

from ..session.session import session

__all__ = ["session"]
