"""The magics: each parses its line, calls the Python API, and returns what that returns."""

from typing import TYPE_CHECKING, Any

from IPython.core.magic import cell_magic, line_magic, magics_class, no_var_expand
from traitlets import Enum, TraitError, Unicode, validate

from .arguments import once
from .base import HopxBase, usage_errors
from .live import ProgressLine, end_of_stderr

if TYPE_CHECKING:
    import pandas as pd

    from ..run import Run, Sweep
    from ..session import Connection
    from ..watching import LiveTable

LOG_BYTES = 1_000_000
"""Bytes of a stream's end from which %hopx_logs shows lines: more would be no help to a reader and a load to a page."""


class Logs(str):
    """The text of a log, shown as it is and not as a Python string."""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))


@magics_class
class HopxMagics(HopxBase):
    """Cells as background processes. Settings: `%config HopxMagics`."""

    timeout = Unicode("none", help="Time limit of %%hopx_bg without --timeout, such as 2h; none means no limit.").tag(
        config=True
    )
    output = Enum(
        ["none", "tail", "full"], "tail", help="How much output %hopx_ps shows without --output: none, tail or full."
    ).tag(config=True)

    @validate("timeout")
    def _checked_timeout(self, proposal: Any) -> str:
        from ..durations import parse_limit

        try:
            parse_limit(proposal["value"])
        except ValueError as error:
            raise TraitError(f"HopxMagics.timeout: {error}") from None
        return str(proposal["value"])

    @no_var_expand
    @cell_magic
    def hopx_bg(self, line: str, cell: str) -> "Run | Sweep | None":
        """Launch the cell as a background process and go on at once.

        ::

            %%hopx_bg [--name N] [--lang L] [--timeout 90s|2h|none] [--env K=V ...] [--cwd DIR] [--tag K=V ...]
                      [--param K=V ...] [--sweep K=V,V ... [--limit N]] [--on CONNECTION] [-o VAR] [-q]

        The cell runs as a program of its own: it has none of the notebook's variables, no magics and no top-level
        await, and it goes on when the kernel, the notebook or the browser tab is gone. Below the cell one line shows
        its state until it has ended. On this machine it runs with the kernel's Python and in the notebook's folder.

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
        --on NAME      the connection to launch on, if not the current one
        -o VAR         put the Run, or the list of them, into this variable
        -q, --quiet    show nothing below the cell

        In the values, `{expression}` and `$name` stand for variables of the notebook; the cell is sent as it is.
        Returns the Run: `run.status`, `run.stdout`, `run.wait()`, `run.kill()`, `await run`; for a sweep, the list of
        its Runs.

        Parameters stand ahead of the cell, as `lr = 0.1` in Python, `lr='0.1'` in bash, and `const lr = 0.1` in
        javascript. Where a Python cell assigns the same variable, the parameter comes right behind that; where it has a
        line `# parameters`, behind the assignments that follow it.

        Examples
        --------
        ::

            %%hopx_bg --name train --timeout 2h -o run
            for epoch in range(10):
                print("epoch", epoch)

            %%hopx_bg --lang bash --env DAY={day} --name backup
            tar czf backup-$DAY.tar.gz data

            %%hopx_bg --name train --sweep lr=0.1,0.01 --sweep seed=1:5 --limit 4 --tag exp=first -o runs
            print("training with", lr, seed)
        """
        args = self._parsed("%%hopx_bg", line)
        with usage_errors("%%hopx_bg"):
            from .. import api

            options: Any = {
                "language": args.lang,
                "name": args.name,
                "timeout": args.timeout or self.timeout,
                "env": dict(args.env),
                "workdir": args.cwd,
                "params": once("--param", args.param),
                "tags": once("--tag", args.tag),
            }
            if args.limit is not None and not args.sweep:
                raise ValueError("--limit is for --sweep")
            run: Run | Sweep = (
                api.sweep(cell, once("--sweep", args.sweep), limit=args.limit, on=args.on, **options)
                if args.sweep
                else api.launch(cell, on=args.on, **options)
            )
        if args.o:
            self.shell.user_ns[args.o] = run
        return None if args.quiet else run

    @no_var_expand
    @line_magic
    def hopx_ps(self, line: str) -> "pd.DataFrame | LiveTable":
        """List processes as a pandas DataFrame, newest first.

        ::

            %hopx_ps [ID or NAME ...] [--status S] [--lang L] [--name GLOB] [--since 2h] [--sort COL] [--limit N]
                     [--output none|tail|full] [--by COL] [--on CONNECTION] [--watch]

        Without options: all processes of the current connection. An ID may be shortened as long as it is clear.

        Options
        -------
        --status S     only these: queued, running, completed, failed, killed, unknown; several: running,failed
        --lang L       only this language
        --name GLOB    only names like this: train-*
        --since T      only what started within this time: 30m, 2h, 7d
        --sort COL     sort by a column; -COL downwards
        --limit N      only the first N rows
        --output O     none; tail: the last 64 kB of stdout and stderr (default); full: all of it
        --by COL       one row for each value of a column: count, time as sum, mean and max in seconds, last start
        --on NAME      of this connection, if not the current one
        --watch        a live table of them instead: the same as %hopx_watch

        Examples
        --------
        ::

            df = %hopx_ps
            df.groupby("status", observed=True).size()

            %hopx_ps --status running
            %hopx_ps --name train-* --since 2h --sort -execution_time
            %hopx_ps --by status
            whole = %hopx_ps train --output full
        """
        args = self._parsed("%hopx_ps", line)
        with usage_errors("%hopx_ps"):
            from .. import api

            if args.watch and args.output:
                raise ValueError("--output is for the DataFrame: a live table shows the output of what is opened in it")
            if args.watch:
                return api.watch(*self._references(args.reference), **self._filters(args), on=args.on)
            output = args.output or self.output
            return api.ps(*self._references(args.reference), **self._filters(args), output=output, on=args.on)

    @no_var_expand
    @line_magic
    def hopx_watch(self, line: str) -> "LiveTable":
        """Show a live table of processes, with viewers of their output.

        ::

            %hopx_watch [ID or NAME ...] [--status S] [--lang L] [--name GLOB] [--since 2h] [--sort COL] [--limit N]
                        [--by status|name|connection] [--interval 1s] [--notify] [--on CONNECTION ...]

        The table follows the processes while other cells run, too. A click selects a row, a double click or Enter
        opens its output below; the header sorts, the chips above filter. Keys: arrows, Enter opens, Escape closes, `/`
        searches, `k` kills (and asks first). In a terminal it is text, refreshed in place until Ctrl-C.

        Returns the table, which is an ipywidget: `w.selected` are the selected runs, `w.frame()` is a DataFrame of the
        shown rows, `w.close()` ends it.

        Options
        -------
        --status S     only these: queued, running, completed, failed, killed, unknown; several: running,failed
        --lang L       only this language
        --name GLOB    only names like this: train-*
        --since T      only what started within this time: 30m, 2h, 7d
        --sort COL     begin sorted by a column; -COL downwards
        --limit N      only the N newest
        --by COL       begin grouped by status, name or connection
        --interval T   ask an agent that can't tell of changes this often: 1s (default), 5s
        --notify       let the browser tell when a process that ran for over 10 s has ended
        --on NAME      of this connection, if not the current one; several: --on a,b

        Examples
        --------
        ::

            %hopx_watch
            %hopx_watch --name train-* --by status
            w = %hopx_watch --since 1d --notify
            w.frame().groupby("status", observed=True).size()
        """
        args = self._parsed("%hopx_watch", line)
        with usage_errors("%hopx_watch"):
            from .. import api

            return api.watch(
                *self._references(args.reference),
                **self._filters(args),
                interval=args.interval,
                notify=args.notify,
                on=[name for names in args.on for name in names],
            )

    @no_var_expand
    @line_magic
    def hopx_logs(self, line: str) -> Logs | None:
        """Show the output of a process as a terminal would show it.

        ::

            %hopx_logs ID [--stderr | --both] [--tail N] [-f] [--on CONNECTION]

        ID is an id, the clear beginning of one, a name (the newest process of it), or a variable that holds a Run.
        Progress bars appear as they stand at the end, colours stay. Returns the text.

        Options
        -------
        --stderr       the standard error instead of the standard output
        --both         the standard output, then the standard error
        --tail N       only the last N lines
        -f, --follow   show what comes until the process ends; Ctrl-C (interrupt) ends only the following
        --on NAME      of this connection, if not the current one

        Examples
        --------
        ::

            %hopx_logs train --tail 20
            %hopx_logs train -f
            text = %hopx_logs train --both
        """
        args = self._parsed("%hopx_logs", line)
        with usage_errors("%hopx_logs"):
            run = self._run(args.reference, args.on)
            streams = ("stdout", "stderr") if args.both else ("stderr",) if args.stderr else ("stdout",)
            if args.follow:
                self._follow(run, streams, args.tail)
                return None
            return Logs("\n".join(text for stream in streams if (text := self._log(run, stream, args.tail))))

    @no_var_expand
    @line_magic
    def hopx_wait(self, line: str) -> "pd.DataFrame":
        """Wait until processes have ended.

        ::

            %hopx_wait [ID ...] [--any | --all] [--timeout T] [--no-raise] [--on CONNECTION]

        Without an ID: for what this notebook has launched and not yet waited for, and if that is nothing, for all that
        is queued or running. Returns the DataFrame, and raises RunFailed, with the end of its stderr, when one of them
        failed or was killed. Ctrl-C (interrupt) ends the waiting, never a process.

        Options
        -------
        --any          until the first of them has ended
        --all          until all of them have ended (default)
        --timeout T    wait no longer than this: 90s, 15m, 2h
        --no-raise     return the DataFrame also when one failed
        --on NAME      of this connection, if not the current one

        Examples
        --------
        ::

            %hopx_wait train
            %hopx_wait --timeout 10m
            done = %hopx_wait a b c --any --no-raise
        """
        args = self._parsed("%hopx_wait", line)
        progress = ProgressLine(self.shell)
        with usage_errors("%hopx_wait"):
            from .. import api

            try:
                runs = api.wait(
                    *self._runs(args.reference, args.on),
                    any_one=args.any,
                    timeout=args.timeout,
                    progress=progress,
                    on=args.on,
                )
            finally:
                progress.close()
            if not args.no_raise:
                _raise_failed(runs)
            return api.frame_of(runs)

    @no_var_expand
    @line_magic
    def hopx_kill(self, line: str) -> "pd.DataFrame":
        """Kill processes, with all their children, and check that they are dead.

        ::

            %hopx_kill ID ... | --status running | --all [--on CONNECTION]

        They are asked to end, and forced to after some seconds; on Linux that includes children that left for a session
        of their own. Returns a DataFrame with the result for each: killed,
        already finished, still running, or unknown id.

        Options
        -------
        --status S     all of this status: queued or running, or both as queued,running
        --all          all that are queued or running
        --on NAME      of this connection, if not the current one

        Examples
        --------
        ::

            %hopx_kill train
            %hopx_kill proc_k3 proc_x9
            %hopx_kill --status queued
        """
        args = self._parsed("%hopx_kill", line)
        statuses = ["queued", "running"] if args.all else [word for words in args.status for word in words]
        with usage_errors("%hopx_kill"):
            if not args.reference and not statuses:
                raise ValueError("say what to kill: an id, a name, --status running, or --all")
            from .. import api

            return api.kill(*self._runs(args.reference, args.on), status=statuses, on=args.on)

    @no_var_expand
    @line_magic
    def hopx_connect(self, line: str) -> "Connection | pd.DataFrame":
        """Show, add or choose the connection: the agent that all magics speak to.

        ::

            %hopx_connect [local | NAME | URL] [--as NAME] [--token-env VAR]

        Without arguments: a DataFrame of all connections. `local` is the agent of this machine, which is started when
        it is needed and is the connection until another one is chosen. A URL adds a connection to that agent. Its token
        is never written on the line, where the notebook would keep it: it is read from the environment variable VAR,
        else from HOPX_AGENT_TOKEN, else asked for.

        Options
        -------
        --as NAME        what to call the connection, if not after its host
        --token-env VAR  the environment variable that holds the token

        Examples
        --------
        ::

            %hopx_connect
            %hopx_connect https://7777-abc.eu2.vms.hopx.dev --as gpu --token-env GPU_TOKEN
            %hopx_connect local
        """
        args = self._parsed("%hopx_connect", line)
        with usage_errors("%hopx_connect"):
            from .. import api
            from ..session import checked_url

            if args.target is None:
                return api.connections()
            token = _token(checked_url(args.target), args.token_env) if "://" in args.target else None
            return api.connect(args.target, name=getattr(args, "as"), token=token)

    # ------------------------------------------------------------ helpers

    def _filters(self, args: Any) -> dict[str, Any]:
        return {
            "status": [word for words in args.status for word in words],
            "language": args.lang,
            "name": args.name,
            "since": args.since,
            "sort": args.sort,
            "limit": args.limit,
            "by": args.by,
        }

    def _log(self, run: "Run", stream: Any, lines: int | None) -> str:
        from ..output import as_shown, last_lines

        output = run.end_of(stream, LOG_BYTES)
        if lines is not None:
            return last_lines(output.text, lines)
        left_out = f"[{output.left_out:,} bytes before this are left out: run.{stream} has them]\n"
        return (left_out if output.left_out else "") + as_shown(output.text).rstrip("\n")

    def _follow(self, run: "Run", streams: Any, lines: int | None) -> None:
        """Prints what comes; in the cell's own thread, so that it lands in the cell's own output."""
        from ..output import StreamFilter, last_lines

        filters: dict[Any, StreamFilter] = {}
        try:
            for stream, text in run.follow(streams):
                if stream not in filters and lines is not None:  # what was there before is cut to its last lines
                    text = last_lines(text, lines) + ("\n" if lines and text.endswith("\n") else "")
                print(filters.setdefault(stream, StreamFilter()).feed(text), end="", flush=True)  # noqa: T201
        except KeyboardInterrupt:
            print(f"\n[stopped following; {run.process_id} goes on]")  # noqa: T201


def _token(url: str, variable: str | None) -> str | None:
    import os
    from getpass import getpass

    token = os.environ.get(variable or "HOPX_AGENT_TOKEN")
    if token:
        return token
    if variable:
        raise ValueError(f"the environment variable {variable} is not set")
    try:
        return getpass(f"Token of {url} (empty for none): ") or None
    except (EOFError, RuntimeError, NotImplementedError):  # a kernel without a front end that could ask
        raise ValueError("nobody can be asked for the token: set HOPX_AGENT_TOKEN, or use --token-env VAR") from None


def _raise_failed(runs: "list[Run]") -> None:
    from ..display import render
    from ..errors import RunFailed

    failed = [run for run in runs if run.process.status in ("failed", "killed")]
    if failed:
        first = failed[0]
        others = f"\nAlso failed or killed: {', '.join(run.process_id for run in failed[1:])}" if failed[1:] else ""
        raise RunFailed(render.failure_in_words(first.process, end_of_stderr(first)) + others)
