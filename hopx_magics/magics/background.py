"""The magic that launches a cell: from its line to what the Python API takes."""

from typing import TYPE_CHECKING, Any

from IPython.core.magic import cell_magic, magics_class, no_var_expand

from .base import HopxBase
from .line import once
from .live_line import TransferLine
from .sweeping import CountLine, interrupted_into, is_meant
from .values import pack
from .words import one_by_one

if TYPE_CHECKING:
    from ..models import Callback
    from ..run import Run
    from ..sweeps import Sweep
    from .words import Word


@magics_class
class HopxBackground(HopxBase):
    """`%%hopx_bg`."""

    @no_var_expand
    @cell_magic
    def hopx_bg(self, line: str, cell: str) -> "Run | Sweep | None":
        """Launch the cell as a background process and go on at once.

        ::

            %%hopx_bg [--name N] [--lang L] [--timeout 90s|2h|none] [--env K=V ...] [--cwd DIR] [--tag K=V ...]
                      [--param K=V ...] [--sweep K=V,V ... [--limit N] [--per N] [--keep-best N METRIC] [--yes]]
                      [--on CONNECTION ...]
                      [--first] [--after RUN,...] [--after-any RUN,...] [--retry N [--retry-delay 30s]]
                      [--gpus N] [--cpus N] [--memory 4GB] [--stop-when "METRIC>N" ...]
                      [--notify [end|failure|"METRIC>N"|desktop|URL ...]]
                      [--callback URL [--callback-header K=V ...] [--callback-secret-env VAR]]
                      [--in auto|none|NAME,...] [--out NAME,...] [--fork [--threads N] | --no-fork]
                      [--capture auto|files|agent] [--kill-leftovers]
                      [-o VAR] [-q]

        The cell goes on when the kernel, the notebook or the browser tab is gone. It gets the variables, functions and
        imports that it uses, as they are now; on this machine it runs with the kernel's Python, in the notebook's
        folder and environment, in a sandbox with what is there. Magics, `!` and top-level await work in it. Below the
        cell one line shows its state until it has ended, with buttons that stop it and show its output, and what it
        displays as it comes; at its end its last value, or the error that ended it.

        Queue, resources, notices and bounds (--first to --notify, --keep-best, --kill-leftovers) are the work of the
        agents of this machine and of machines reached by ssh; elsewhere the launch is refused, and nothing else is
        done. GPUs, processors and memory are a Ray cluster's, too.

        Options
        -------
        --name N       a name to find it by
        --lang L       python (default), bash, javascript or go
        --timeout T    kill it after this time: 90s, 15m, 2h, 1h30m; none: no limit (default)
        --env K=V      an environment variable; can be given several times
        --cwd DIR      the folder to run in
        --tag K=V      a tag, by which %hopx_history finds it; can be given several times
        --param K=V    a parameter: a number, a text, or JSON, which becomes the variable K of the cell
        --sweep K=V,V  one run for each value of a parameter: lr=0.1,0.01 or seed=1:5; several: for every combination
        --limit N      with --sweep: run no more than N of them at once
        --per N        with --sweep on several connections: run no more than N of them at once on each
        --keep-best N M  with --sweep: at half time keep the N runs with the best values of this metric, and kill the
                       others, which is no failure: --keep-best 3 loss, 3 min loss, 3 max acc; a run is at half time
                       when it prints so, or has printed the metric half as often as one that has completed
        --first        ahead of all that is queued
        --after RUNS   start when these have completed; if one has not, it ends as failed: --after prep,load; a Python
                       cell finds in prep["x"] the variable x that prep has kept with --out x
        --after-any RUNS  start when these have ended in any way; an id, a name, or a variable, as in %hopx_wait
        --gpus N       start when so many GPUs are left by those that asked for some, and get these alone
                       (CUDA_VISIBLE_DEVICES): 2, or 0.5 for a half of one
        --cpus N       start when so many processors are left by those that asked for some
        --memory SIZE  start when so much memory is left by those that asked for some, and end when it takes more: 4GB
        --stop-when B  end it as soon as a metric that it prints meets this bound: "loss>10", "val loss<0.01", acc>=0.9;
                       nan counts as larger than any number; can be given several times; it is killed then, and
                       %hopx_wait takes that for no failure
        --notify [W]   tell you when it has ended, also with the notebook closed. Words say of what else: end, failure,
                       a bound such as "loss>10"; and where: desktop, or a URL of apprise, for which there is pip
                       install 'hopx_magics[notify]'. Without such a place it is what %config HopxMagics.notify says,
                       HOPX_NOTIFY in the environment, or the desktop. A sweep has one notice at its end, and its first
                       3 failures and bounds, if asked for, have their own
        --retry N      when it fails, launch it anew, up to N times, each as a run of its own; the Run is the last one.
                       On this machine, and by ssh, its agent does that; elsewhere, and on several connections, this
                       kernel, also for what a sandbox had that is gone or does not answer for a minute
        --retry-delay T  with --retry: so long after it has failed: 30s, 5m
        --yes          with --sweep: launch more than 1,000 runs without asking
        --on NAME      the connection to launch on, if not the current one; several (a,b or all): on each of them, or
                       with --sweep spread over them
        --in NAMES     the notebook's variables that the cell gets: auto (default), those it uses; none; or df,model
        --out NAMES    variables to keep at its end, for run["model"] and %hopx_pull: model,scores
        --fork         run it in a fork of the kernel, which has all that is in the kernel's memory, whatever it is, and
                       copies nothing but what either of them changes later; on this machine, on Linux. What is queued
                       is forked at once, too, and waits, with 20 MB of its own and the page tables; what would take
                       more than half of the free memory is refused. --no-fork, where %config HopxMagics.fork is True
                       Threads, tasks of asyncio, pools of processes, and subprocesses of the notebook stay with the
                       kernel. Refused where CUDA, JAX, TensorFlow, Polars, gRPC or Ray runs in it; seen to work with
                       scikit-learn, LightGBM, XGBoost, PyTorch on CPUs, Numba, pyarrow, DuckDB, h5py, SQLite
        --threads N    with --fork: let OpenMP have so many threads in it (default: as many as in the kernel)
        --callback URL let the agent post to this URL when it has ended
        --callback-header K=V      a header of that; can be given several times
        --callback-secret-env VAR  sign it with the secret in this environment variable: see hopx.verify_callback
        --capture C    who keeps the output where the agent does not return it: files of the sandbox, the agent, or
                       auto (default): whichever works
        --kill-leftovers  when it ends, kill what it has left running (daemons, workers)
        -o VAR         put the Run, or the list of them, into this variable
        -q, --quiet    show nothing below the cell

        In the values, `{expression}` and `$name` stand for variables of the notebook; the cell is sent as it is. A
        parameter keeps the type that its variable has, and one in quotes is a text: n="5". In --env a `$NAME` may be
        one of the environment, too; in single quotes a `$` is just that, and `{{` and `}}` stand for braces. A `;` at
        the end of the line shows nothing, as -q. Returns the Run: `run.status`, `run.stdout`, `run.wait()`,
        `run.kill()`, `await run`; for a sweep, the list of its Runs, and `runs.results()`.

        Parameters stand ahead of the cell, as `lr = 0.1` in Python, `lr='0.1'` in bash, and `const lr = 0.1` in
        javascript. Where a Python cell assigns the same variable, the parameter comes right behind that; where it has a
        line `# parameters`, behind the assignments that follow it.

        Examples
        --------
        ::

            %%hopx_bg --name fit --timeout 2h --out model -o run
            model = train(clean(df))
            model.score(df)

            %%hopx_bg --lang bash --env DAY={day} --name backup
            tar czf backup-$DAY.tar.gz data

            %config HopxMagics.notify = "ntfy://a-name-that-only-you-know"
            %%hopx_bg --name night --notify --stop-when "loss>10"
            train()

            %%hopx_bg --notify failure "val loss<0.1" {my_url}
            train()

            %%hopx_bg --name train --sweep lr=0.1,0.01 --sweep seed=1:5 --limit 4 --tag exp=first -o runs
            print("training with", lr, seed)

            %%hopx_bg --fork --name report -o run
            report(database, huge_df)

            %%hopx_bg --sweep lr=0.1,0.03,0.01,0.003 --keep-best 2 loss -o runs
            for epoch in range(1, 11):
                print(f"epoch {epoch}/10 loss: {train(lr):.3f}", flush=True)
        """
        with self._arguments("hopx_bg", line) as args:
            from ..api.launch import launch, launch_on_each, sweep

            on = args.on or None
            _check_bg(args)
            options = self._options(args, cell)
            run: Run | Sweep | None
            if args.sweep:
                sweeps = once("--sweep", args.sweep)
                if not args.yes and not is_meant(sweeps):
                    return None
                with CountLine(self.shell, "launched") as line_below, interrupted_into(self.shell, args.o):
                    spread = {"limit": args.limit, "per": args.per, "keep_best": _joined(args.keep_best), "on": on}
                    run = sweep(cell, sweeps, **spread, progress=line_below.show, **options)
            elif on is None or (len(on) == 1 and on != ["all"]):
                run = launch(cell, on=on[0] if on else None, **options)
            else:
                run = launch_on_each(cell, on=on, **options)
        if args.o:
            self.shell.user_ns[args.o] = run
        return None if args.quiet else run

    def _forks(self, args: Any) -> bool:
        """Whether the cell is to be a fork of the kernel."""
        from ..connection.local import LOCAL
        from ..launches import checked_language
        from ..session.session import session

        if args.fork is None:
            is_here = not args.on and session().current == LOCAL
            is_plain = is_here and args.values == "auto" and not args.retry
            return bool(self.settings.fork and is_plain and checked_language(args.language) == "python")
        if args.fork and args.values != "auto":
            raise ValueError("--in is not for --fork: a fork has all variables")
        return bool(args.fork)

    def _options(self, args: Any, cell: str) -> Any:
        """What is said of the launch of a cell, as `LaunchOptions` and what else `launch` takes."""
        from ..run_history.origin import number_of_cell

        after, after_any = self._former(args.after), self._former(args.after_any)
        fork = self._forks(args)
        return {
            "first_line": self._line_behind(cell),
            "cell": number_of_cell(self.shell),
            "language": args.language,
            "name": args.name,
            "timeout": args.timeout or self.settings.timeout,
            "env": dict(args.env),
            "workdir": args.cwd,
            "params": once("--param", args.param),
            "tags": once("--tag", args.tag),
            "callback": _callback(args),
            "capture": args.capture,
            "values": None
            if fork
            else pack(self.shell, cell, args.values, args.language, without=(*after, *after_any)),
            "fork": fork,
            "threads": args.threads,
            "keep": args.out,
            "transform": self.shell.transform_cell,
            "kill_leftovers": args.kill_leftovers,
            "first": args.first,
            "after": after,
            "after_any": after_any,
            "gpus": args.gpus or 0.0,
            "cpus": args.cpus or 0.0,
            "memory": args.memory,
            "stop_when": args.stop_when,
            "notify": self._notify(args.notify),
            "retry": args.retry or 0,
            "retry_delay": args.retry_delay or 0.0,
            "sending": TransferLine(self.shell, "to").show_copied,
        }

    def _notify(self, words: list[str] | None) -> list[str] | None:
        """Of what somebody is told and where, by the setting where the line has no place."""
        from ..notices import is_place

        return words if words is None or any(map(is_place, words)) else [*words, *self.settings.notify.split()]

    def _former(self, words: "list[Word]") -> "dict[str, list[Run | str]]":
        """The runs that words stand for, in which several stand with commas between, by these words."""
        return {each.text: self._meant(each) for word in words for each in one_by_one(word)}

    def _line_behind(self, cell: str) -> int:
        """The line of the notebook's cell in which the code begins that is behind the line of the magic."""
        shown = self.shell.history_manager.input_hist_raw[-1].rstrip() if self.shell.history_manager else ""
        rows = shown.count("\n") - cell.rstrip().count("\n")
        return rows + 1 if rows > 0 and shown.endswith(cell.rstrip()) else 2


def _check_bg(args: Any) -> None:
    """Raises ValueError for an option that means nothing without another one."""
    for option in ("limit", "per", "keep_best", "yes"):
        if getattr(args, option) not in (None, False) and not args.sweep:
            raise ValueError(f"--{option.replace('_', '-')} is for --sweep")
    if args.retry_delay and not args.retry:
        raise ValueError("--retry-delay is for --retry")


def _joined(words: "list[str] | None") -> str | None:
    return None if words is None else " ".join(words)


def _callback(args: Any) -> "Callback | None":
    import os

    from ..models import Callback

    if args.callback is None:
        if args.callback_header or args.callback_secret_env:
            raise ValueError("--callback-header and --callback-secret-env are for --callback")
        return None
    variable = args.callback_secret_env
    if variable and not os.environ.get(variable):
        raise ValueError(f"the environment variable {variable} is not set")
    secret = os.environ[variable] if variable else None
    return Callback(url=args.callback, headers=once("--callback-header", args.callback_header), secret=secret)
