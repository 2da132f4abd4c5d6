"""Cells that are forks of their kernel: what they have of it, what they leave to it, and who may die."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hopx_magics.settings import Settings
from tests.conftest import agent_pid, stop_agent
from tests.forking.conftest import Notebook
from tests.waiting import is_running, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks a kernel")

WAIT = "while not os.path.exists('go'): time.sleep(0.01)"


def test_a_fork_has_the_whole_notebook_and_the_notebook_nothing_of_it(notebook: Notebook, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("one\ntwo\n")
    notebook.run(
        "import random, sqlite3, logging, tqdm.auto\nimport pandas as pd\nimport matplotlib.pyplot as plt\nhopx.ps()"
    )
    notebook.run("""
numbers = (n for n in range(100)); next(numbers)
lock, file, db = threading.Lock(), open("file"), sqlite3.connect(":memory:")
lock.acquire(); file.readline(); db.execute("create table t (x)"); random.seed(1); drawn = random.getstate()
plt.rcParams["lines.linewidth"] = 7.5; pd.set_option("display.max_rows", 7); logging.basicConfig(force=True)
def unlock():
    lock.release()
class Local:
    pass
""")
    told = notebook.run("""%%hopx_bg --fork --name all --out local,changed -o run
unlock(); changed = [next(numbers), file.readline(), random.getstate() == drawn, plt.rcParams["lines.linewidth"]]
db.execute("insert into t values (5)")
changed += [db.execute("select x from t").fetchall(), pd.get_option("display.max_rows"), "unlock" in In[-2]]
local = Local()
print("out"); print("err", file=sys.stderr); logging.warning("log")
for _ in tqdm.auto.trange(2): pass
!echo "a shell"
display("shown")
plt.plot([1, 2])
import asyncio
await asyncio.sleep(0)
get_ipython().run_cell("6 * 7")
lock.locked()
""")
    assert told.count("\n") <= 1, "nothing but the line"
    assert notebook.value("run.wait().status") == "completed"
    assert notebook.value("run.result()") is False
    assert notebook.value("run['changed']") == [1, "two\n", True, 7.5, [(5,)], 7, True]
    assert notebook.value("type(run['local']) is Local")
    assert (
        notebook.value("run.stdout.replace('\\r', '')")
        == "out\na shell\n'shown'\n42\n<Figure size 640x480 with 1 Axes>\nFalse\n"
    )
    stderr = notebook.value("run.stderr")
    assert stderr.startswith("err\nWARNING:root:log\n")
    assert "100%" in stderr
    kinds = notebook.value("[sorted(one['data']) for one in run.displays]")
    assert kinds == [["text/plain"], ["image/png", "text/plain"], ["text/plain"]]
    here = (
        "next(numbers), file.readline(), lock.locked(), db.execute('select x from t').fetchall(), 'changed' in vars()"
    )
    assert notebook.value(here) == (1, "two\n", True, [], False)


def test_a_fork_leaves_its_kernel_what_is_the_kernels(notebook: Notebook) -> None:
    notebook.run(
        "import socket, atexit\nown = socket.socketpair()\nt = threading.Thread(target=time.sleep, args=(600,))"
    )
    notebook.run("t.daemon = True; t.start()\natexit.register(lambda: print('of the kernel'))\nhopx.ps()")
    notebook.run("""%%hopx_bg --fork -o run
sockets = [n for n in map(int, os.listdir("/proc/self/fd")) if n > 2 and os.path.exists(f"/proc/self/fd/{n}")]
links = {n: os.readlink(f"/proc/self/fd/{n}") for n in sockets}
sockets = {n: socket.socket(fileno=os.dup(n)) for n, link in links.items() if link.startswith("socket:")}
inet = [n for n, one in sockets.items() if one.family != socket.AF_UNIX]
named = [n for n, one in sockets.items() if one.getsockname() or one.getpeername()]
kept = [link for link in links.values() if "history" in link and "hopx" in link]
import atexit
atexit.register(print, "of the cell")
try:
    input("?")
except EOFError as error:
    print("input:", error)
inet, named, kept, {one.fileno() for one in own} <= set(links), len(os.listdir("/proc/self/task"))
""")
    assert notebook.value("run.wait().result()") == ([], [], [], True, 1)
    assert notebook.value("run.stdout").splitlines()[0].startswith("input: input(): nobody can answer")
    assert notebook.value("run.stdout").splitlines()[-1] == "of the cell"


def test_errors_exits_and_signals_are_those_of_a_cell(notebook: Notebook) -> None:
    notebook.run("def divide(x):\n    return 1 / x")
    notebook.run("%%hopx_bg --fork --name bad -o bad\ndivide(0)")
    notebook.run("%%hopx_bg --fork -o left\nsys.exit(7)")
    notebook.run("%%hopx_bg --fork -o out\nprint('before')\nexit")
    notebook.run("%%hopx_bg --fork -o killed\nos.kill(os.getpid(), 9)")
    notebook.run("%%hopx_bg --fork -o slow --timeout 0.5s\ntry:\n    time.sleep(600)\nfinally:\n    print('cleaned')")
    ends = "[(one.wait().status, one.exit_code) for one in (bad, left, out, killed)]"
    assert notebook.value(ends) == [("failed", 1), ("failed", 7), ("completed", 0), ("failed", 137)]
    lines = notebook.value("bad.stderr").splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "ZeroDivisionError: division by zero"
    assert [line.strip() for line in lines if "line" in line] == [
        "Cell [3] bad, line 2, in <module>",
        "Cell [2], line 2, in divide",
    ]
    assert notebook.value("type(bad.exception().__cause__ or bad.exception()).__name__") == "ZeroDivisionError"
    assert notebook.value("(slow.wait().process.status_detail, slow.stdout)") == ("timed out after 1 s", "cleaned\n")


@pytest.mark.parametrize("who", ["kernel", "keeper", "agent", "keeper and agent", "kernel and agent"])
def test_whoever_dies_a_fork_goes_on(notebook: Notebook, hopx: Any, state: Settings, tmp_path: Path, who: str) -> None:
    notebook.run(f"%%hopx_bg --fork --name it\nprint('on')\n{WAIT}\nprint('off')\nsys.exit(7)")
    run = hopx.attach("it")
    wait_until(lambda: "on" in run.stdout, "it runs")
    keeper = os.getpgid(run.process.pid)
    assert keeper != run.process.pid
    assert os.getsid(run.process.pid) == keeper
    if "kernel" in who:
        notebook.manager.shutdown_kernel(now=True)
    if "keeper" in who:
        os.kill(keeper, signal.SIGKILL)
    if "agent" in who:
        stop_agent(state, signal.SIGKILL)
    assert hopx.attach("it").status == "running"
    (tmp_path / "go").touch()
    assert (run.wait().status, run.exit_code, run.stdout) == ("failed", 7, "on\noff\n")
    wait_until(lambda: not is_running(keeper), "nothing is left")


def test_forks_are_killed_with_all_that_they_started(notebook: Notebook, hopx: Any) -> None:
    notebook.run("""%%hopx_bg --fork --name tree -o run
import subprocess
one = subprocess.Popen(["sleep", "600"], start_new_session=True)
two = os.fork() or time.sleep(600)
print(one.pid, two, flush=True)
time.sleep(600)
""")
    run = hopx.attach("tree")
    wait_until(lambda: "\n" in run.stdout, "it runs")
    pids = [run.process.pid, os.getpgid(run.process.pid), *map(int, run.stdout.split())]
    assert hopx.kill(run).result.tolist() == ["killed"]
    wait_until(lambda: not any(map(is_running, pids)), "all are dead")
    assert notebook.value("run.status") == "killed"


def test_a_queued_fork_is_of_its_launch_and_waits(
    hopx: Any, state: Settings, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOPX_MAX_RUNNING", "1")
    notebook = request.getfixturevalue("notebook")
    notebook.run(f"x = 1\nhopx.launch({WAIT!r}, name='first', fork=True)")
    notebook.run("%%hopx_bg --fork --name second --out y -o second\ny = x\nx")
    notebook.run("%%hopx_bg --fork --name third --env A=1 -o third\nx += 1\nx, os.environ['A']")
    notebook.run("x = 10")
    assert [hopx.attach(name).status for name in ("first", "second", "third")] == ["running", "queued", "queued"]
    children = Path(f"/proc/{notebook.pid}/task/{notebook.pid}/children").read_text().split()
    stop_agent(state, signal.SIGKILL)
    hopx.kill("second")
    wait_until(lambda: sum(is_running(int(pid)) for pid in children) == 2, "the second one is gone")
    (tmp_path / "go").touch()
    assert notebook.value("third.wait().result()") == (2, "1")
    assert notebook.value("second.status, second.process.started_at") == ("killed", None)
    wait_until(lambda: not any(is_running(int(pid)) for pid in children), "nothing is left")


def test_a_queued_fork_that_dies_is_told_of(
    hopx: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOPX_MAX_RUNNING", "1")
    notebook = request.getfixturevalue("notebook")
    notebook.run(f"hopx.launch({WAIT!r}, name='first', fork=True)")
    first = set(Path(f"/proc/{notebook.pid}/task/{notebook.pid}/children").read_text().split())
    notebook.run("%%hopx_bg --fork -o second\n1")
    (keeper,) = set(Path(f"/proc/{notebook.pid}/task/{notebook.pid}/children").read_text().split()) - first
    (child,) = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
    os.kill(int(child), signal.SIGKILL)
    (tmp_path / "go").touch()
    ended = notebook.value("second.wait().status, second.process.status_detail")
    assert ended == ("failed", "could not start: its fork ended while it waited for its turn")


def test_a_kernel_that_dies_at_the_launch_leaves_nothing(notebook: Notebook, hopx: Any, state: Settings) -> None:
    hopx.ps()
    notebook.run("hopx.launch('1', fork=True).wait()")
    os.kill(agent_pid(state) or 0, signal.SIGSTOP)  # so that the launch is not answered
    notebook.client.execute("hopx.launch('1', fork=True)")
    children = Path(f"/proc/{notebook.pid}/task/{notebook.pid}/children")
    forked = wait_until(lambda: [int(pid) for pid in children.read_text().split()], "it is forked")
    notebook.manager.shutdown_kernel(now=True)
    wait_until(lambda: not any(map(is_running, forked)), "the fork has ended, too")
    os.kill(agent_pid(state) or 0, signal.SIGCONT)
    wait_until(lambda: set(hopx.ps().status) <= {"completed", "failed"}, "if there was a launch, it has failed")


@pytest.mark.parametrize("where", ["after_in_parent", "after_in_child"])
def test_an_interrupt_at_the_fork_leaves_nothing_and_no_second_kernel(notebook: Notebook, where: str) -> None:
    notebook.run(f"import _thread\nhopx.ps()\nos.register_at_fork({where}=_thread.interrupt_main)")
    notebook.run("""
try:
    hopx.launch("1", fork=True)
except (KeyboardInterrupt, hopx.LaunchError) as error:
    refused = type(error).__name__
""")
    assert notebook.value("refused") == ("KeyboardInterrupt" if "parent" in where else "LaunchError")
    children = Path(f"/proc/{notebook.pid}/task/{notebook.pid}/children")
    wait_until(lambda: not [pid for pid in children.read_text().split() if is_running(int(pid))], "nothing is left")


def test_what_interrupts_the_group_of_the_kernel_does_not_end_a_fork(notebook: Notebook) -> None:
    notebook.run("import signal\nos.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGINT))")
    notebook.run("%%hopx_bg --fork -o run\n6 * 7")
    assert notebook.value("run.wait().result()") == 42
    notebook.run("%%hopx_bg --fork -o run\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(600)")
    assert "KeyboardInterrupt" in notebook.value("run.wait().stderr")


HELD = """
import importlib, logging, pathlib, random
pathlib.Path("slow.py").write_text("import time\\ntime.sleep(1 if SLOW else 0)\\nx = 1")
import builtins
builtins.SLOW = True
class Slow(logging.StreamHandler):
    def emit(self, record):
        time.sleep(0.3 if record.msg == "slow" else 0)
        super().emit(record)
log = logging.getLogger("held"); log.propagate = False; log.addHandler(Slow())
stop = False
def logs():
    while not stop: log.error("slow")
def imports():
    import slow
def allocates():
    while not stop: [bytes(random.randrange(100_000)) for _ in range(100)]; random.random()
def draws():
    while not stop: np.random.rand(1_000_000)
def paints():
    while not stop: Figure().savefig(io.BytesIO())
import io, numpy as np
from matplotlib.figure import Figure
threads = [threading.Thread(target=each, daemon=True) for each in (logs, allocates, allocates, draws, paints)]
for thread in threads: thread.start()
"""


def test_locks_that_threads_held_at_the_fork(notebook: Notebook) -> None:
    notebook.run(HELD)
    notebook.run("""
threading.Thread(target=imports, daemon=True).start()
while "slow" not in sys.modules: time.sleep(0.001)
cell = "builtins.SLOW = False; import slow; log.error('here'); list(map(bytes, range(9999)))\\n"
cell += "np.random.rand(); Figure().savefig(io.BytesIO()); slow.x"
runs = [hopx.launch(cell, fork=True, timeout=60) for _ in range(8)]
""")
    notebook.run("stop = True\nfor thread in threads: thread.join()")
    ends = notebook.value("[(run.wait().status, run.result(), run.stderr) for run in runs]")
    assert ends == [("completed", 1, "here\n")] * 8


def test_locks_of_libraries_are_free_wherever_they_are_and_the_users_as_they_were(notebook: Notebook) -> None:
    notebook.run("""
import queue, concurrent.futures
class Box: pass
import multiprocessing.pool
inner = queue.Queue(); box = Box(); box.deep = {"inner": inner}; box.lock = threading.Lock(); locks = [threading.Lock()]
box.lock.acquire(); locks[0].acquire()
held, stop = threading.Event(), threading.Event()
def hold():
    with inner.mutex:
        held.set(); stop.wait()
thread = threading.Thread(target=hold); thread.start(); held.wait()
pool = concurrent.futures.ThreadPoolExecutor(2); pool.submit(int).result()
processes = concurrent.futures.ProcessPoolExecutor(1); processes.submit(int).result()
several = multiprocessing.pool.ThreadPool(1); several.map(int, "1")
def refused(call):
    try:
        call()
    except Exception as error:
        return str(error)
""")
    notebook.run("""%%hopx_bg --fork --timeout 60 -o run
inner.put(1)
refusals = refused(lambda: processes.submit(int)), refused(lambda: several.map(int, "1"))
inner.get(), pool.submit(int, "5").result(), box.lock.locked(), locks[0].locked(), refusals
""")
    *values, refusals = notebook.value("run.wait().result()")
    assert values == [1, 5, True, True]
    assert refusals == (
        "the processes of this pool are those of the kernel that was forked: make one in the cell",
        "Pool not running",
    )
    here = "stop.set() or pool.submit(int, '6').result(), processes.submit(int, '7').result(), several.map(int, '8')"
    assert notebook.value(here) == (6, 7, [8])


def test_a_fork_launches_and_forks_and_shows_with_what_the_notebook_has_made(notebook: Notebook) -> None:
    notebook.run("import numpy as np, ipywidgets\nfrom tqdm.notebook import tqdm\nx = [1]")
    notebook.run("bar = tqdm(total=4); place = ipywidgets.Output()\nhandle = display('first', display_id='shown')")
    notebook.run("""%%hopx_bg --fork -o run
handle.update("second"); handle.update("third"); display("own", display_id="mine").update("changed")
bar.update(3)
with place: print("printed")
x += [2]
forked = hopx.launch("x += [3]; x", fork=True)
forked.result(), hopx.launch("6 * 7").result(), x
""")
    assert notebook.value("run.wait().result()") == ([1, 2, 3], 42, [1, 2])
    shown = notebook.value(
        "[one['data']['text/plain'] for one in run.displays if one['output_type'] == 'display_data']"
    )
    assert shown == ["'third'", "'changed'"]
    assert notebook.value("run.stdout").startswith("'second'")
    assert "printed" in notebook.value("run.stdout")
    assert "75%" in notebook.value("run.stderr")
    assert notebook.value("x") == [1]


def test_openmp_has_its_threads_though_the_kernel_has_used_them(notebook: Notebook) -> None:
    notebook.run("""
import numpy as np, threadpoolctl
from sklearn.ensemble import HistGradientBoostingClassifier as Model
x = np.random.rand(200, 2); y = x[:, 0] > 0.5
threadpoolctl.threadpool_limits(2, "openmp")
def fit():
    Model(max_iter=1).fit(x, y)
    return {one["num_threads"] for one in threadpoolctl.threadpool_info() if one["user_api"] == "openmp"}
here = fit()
""")
    for options, threads in (("", 2), ("--threads 3", 3), ("", 2)):
        assert notebook.run(f"%%hopx_bg --fork --timeout 60 {options} -o run\nfit()").count("\n") <= 1, "the line"
        assert notebook.value("run.wait().result()") == {threads}
        assert notebook.value("fit()") == {2}


def test_what_can_not_be_forked_is_refused(notebook: Notebook) -> None:
    refused = """
def why(**options):
    try:
        hopx.launch("1", **{"fork": True, **options})
    except Exception as error:
        return f"{type(error).__name__}: {error}"
from types import SimpleNamespace
"""
    notebook.run(refused)
    assert "again" in notebook.value("why(retry=1)") or "anew" in notebook.value("why(retry=1)")
    assert "is Python" in notebook.value("why(language='bash')")
    assert "with fork" in notebook.value("why(fork=False, threads=2)")
    assert "all variables" in notebook.value("why(values={'x': 1})")
    notebook.run("sys.modules['torch.cuda'] = SimpleNamespace(is_initialized=lambda: True)")
    assert notebook.value("why()").startswith("LaunchError: this kernel can't be forked: CUDA is in use")
    assert notebook.value("len(hopx.ps()), len(hopx.history())") == (0, 0)


def test_a_fork_that_waits_for_ever_is_told_of(notebook: Notebook, hopx: Any) -> None:
    notebook.run("""
lock, held = threading.Lock(), threading.Event()
def hold():
    with lock:
        held.set(); stop.wait()
stop = threading.Event(); thread = threading.Thread(target=hold); thread.start(); held.wait()
""")
    notebook.run("%%hopx_bg --fork --name hangs\nwith lock: pass")
    notebook.run("%%hopx_bg --fork --name waits\nthreading.Event().wait(600)")
    hangs, waits = hopx.attach("hangs"), hopx.attach("waits")
    wait_until(lambda: hangs.status == "running" and hangs.process.status_detail, "that is seen")
    assert hangs.process.status_detail.startswith("may wait for a lock that was held at the fork")
    page = wait_until(lambda: str(hopx.show("hangs")).partition("stacks")[2], "it tells where it is")
    assert "cell.py" in page
    assert "ipykernel" not in page
    assert (waits.status, waits.process.status_detail) == ("running", None)
    hopx.kill(hangs)
    hopx.kill(waits)
    notebook.run("stop.set()")


def test_memory_is_what_a_fork_has_of_its_own(notebook: Notebook, hopx: Any, tmp_path: Path) -> None:
    notebook.run("import numpy as np\nbig = np.ones(50_000_000)")
    notebook.run(f"%%hopx_bg --fork --name reads\nbig.sum()\n{WAIT}\nbig += 1\n{WAIT.replace('go', 'end')}")
    run = hopx.attach("reads")

    def memory() -> int:
        value = hopx.ps("reads").memory_bytes[0]
        return 0 if pd.isna(value) else int(value)

    assert wait_until(memory, "it is measured") < 100_000_000
    (tmp_path / "go").touch()
    wait_until(lambda: memory() > 400_000_000, "what it has changed is its own")
    (tmp_path / "end").touch()
    assert run.wait().status == "completed"


NO_FORKS = """
import ctypes, platform, struct
clone = {"x86_64": 56, "aarch64": 220}[platform.machine()]
ops = [(0x20, 0, 0, 0), (0x15, 0, 3, clone), (0x20, 0, 0, 16), (0x45, 1, 0, 0x100)]
ops += [(0x06, 0, 0, 0x5000C), (0x06, 0, 0, 0x7FFF0000)]
code = b"".join(struct.pack("HBBI", *op) for op in ops)
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.byref(Program(len(ops), code))) == 0
"""
"""Has the system refuse forks of this thread, but no new threads, for a lack of memory."""


def test_too_little_memory_is_a_clear_refusal(notebook: Notebook, hopx: Any) -> None:
    hopx.ps()
    notebook.run(NO_FORKS)
    notebook.run("""
try:
    hopx.launch("1", fork=True)
except hopx.LaunchError as error:
    refusal = str(error)
""")
    assert notebook.value("refusal").startswith("this kernel can't be forked: Cannot allocate memory")
    assert hopx.ps().empty
    assert notebook.value("len(hopx.history())") == 0


def test_more_forks_than_there_is_memory_for_are_refused(notebook: Notebook, hopx: Any) -> None:
    notebook.run("""
def refusal(launch):
    try:
        launch()
    except hopx.LaunchError as error:
        return error.message, error.hint
sweep, called = (refusal(each) for each in (
    lambda: hopx.sweep("1", {"n": range(100_000)}, fork=True),
    lambda: hopx.map(abs, range(100_000), fork=True)))
""")
    message, hint = notebook.value("sweep")
    assert message.startswith("100,000 forks of this kernel take ")
    assert "before any of them does anything" in message
    assert hint.startswith("Launch ")
    assert notebook.value("called[0]").startswith("100,000 forks of this kernel take ")
    assert hopx.ps().empty
    assert notebook.value("len(hopx.history())") == 0


def test_each_run_of_a_sweep_is_a_fork_and_draws_apart(notebook: Notebook) -> None:
    notebook.run("import random\nrandom.seed(1); table = {1: 'one', 2: 'two'}")
    notebook.run("%%hopx_bg --fork --sweep n=1,2 -o runs\ntable[n], random.random()")
    (one, first), (two, second) = notebook.value("runs.results()")
    assert (one, two) == ("one", "two")
    assert first != second
    notebook.run("%config HopxMagics.fork = True\nlock = threading.Lock()")
    notebook.run("%%hopx_bg -o run\nlock.locked()")
    assert notebook.value("run.result()") is False
    assert notebook.value("hopx.rerun(run).result()") is False
    called = "hopx.launch(lambda a, b: (a, b.locked()), args=(1,), kwargs={'b': lock}, fork=True)"
    assert notebook.value(f"{called}.result()") == (1, False)
    called = "hopx.map(lambda a, b: (a, b.locked()), [1, 2], [lock, lock], fork=True)"
    assert notebook.value(f"{called}.results()") == [(1, False), (2, False)]
