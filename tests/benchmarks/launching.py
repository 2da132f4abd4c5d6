"""A launch until its reply, its first line of output, and until the notebook knows of its end."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from hopx_magics.session.session import Session

from .measure import Row, local_session, ms

ROUNDS = 31


def measure() -> Iterator[Row]:
    with local_session() as session, tempfile.TemporaryDirectory() as folder:
        session.launch("pass")
        pairs = [(with_popen(Path(folder)), with_agent(session, Path(folder))) for _ in range(ROUNDS)]
        for part, (name, target) in enumerate([("reply", "+6 ms"), ("first line", "+12 ms")]):
            theirs = statistics.median(popen[part] for popen, _ in pairs)
            ours = statistics.median(agent[part] for _, agent in pairs)
            yield Row(f"a launch to its {name}", ms(ours), f"Popen {ms(theirs)}", f"+{ms(ours - theirs)}", target)
        known = statistics.median(end_to_notebook(session, Path(folder)) for _ in range(ROUNDS))
        yield Row(
            "end of a process to the notebook knowing it", ms(known), "polling each second 500 ms", ms(known), "50 ms"
        )


def code_for(mark: Path) -> str:
    """Code whose first act is a line of output; `mark` is where it says when, since pipes would cost Popen more."""
    return f"import time; open({str(mark)!r}, 'w').write(repr(time.time()))"


def first_act(mark: Path, begun: float) -> float:
    while not mark.exists() or not (text := mark.read_text()):
        time.sleep(0.0005)
    mark.unlink()
    return float(text) - begun


def with_popen(folder: Path) -> tuple[float, float]:
    mark, begun = folder / "mark", time.time()
    process = subprocess.Popen([sys.executable, "-c", code_for(mark)])
    replied = time.time() - begun
    first = first_act(mark, begun)
    process.wait()
    return replied, first


def with_agent(session: Session, folder: Path) -> tuple[float, float]:
    mark, begun = folder / "mark", time.time()
    process = session.launch(code_for(mark))
    replied = time.time() - begun
    first = first_act(mark, begun)
    session.wait({"local": [process.process_id]})
    return replied, first


def end_to_notebook(session: Session, folder: Path) -> float:
    """Seconds between the last act of a process and the return of the wait for it."""
    mark = folder / "end"
    code = f"import time; time.sleep(0.2); open({str(mark)!r}, 'w').write(repr(time.time()))"
    process = session.launch(code)
    session.wait({"local": [process.process_id]})
    known = time.time()
    return known - float(mark.read_text())
