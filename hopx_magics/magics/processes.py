"""The magics of processes: each parses its line, calls the Python API, and returns what that returns."""

from typing import TYPE_CHECKING, Any

from IPython.core.magic import line_magic, magics_class, no_var_expand

from .base import HopxBase
from .sweeping import CountLine

if TYPE_CHECKING:
    import pandas as pd

    from ..live.table import LiveTable


@magics_class
class HopxProcesses(HopxBase):
    """Listing, watching and killing processes."""

    @no_var_expand
    @line_magic
    def hopx_ps(self, line: str) -> "pd.DataFrame | LiveTable":
        """List processes as a pandas DataFrame: what runs, then what is queued, then what has ended.

        ::

            %hopx_ps [ID or NAME ...] [--status S] [--lang L] [--name GLOB] [--since 2h] [--sort COL] [--limit N]
                     [--output none|tail|full] [--by COL] [--on CONNECTION ...] [--watch]

        Without options: all processes of the current connection. An ID may be shortened as long as it is clear. What
        runs and what has ended is sorted by its start, the newest on top, what is queued by its turn; `status_detail`
        says at which place it is, and what it waits for.

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
        --on NAME      of this connection, if not the current one; several: --on a,b or --on all
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
        with self._arguments("hopx_ps", line) as args:
            from ..api.ps import ps
            from ..api.watch import watch

            if args.watch and args.output:
                raise ValueError("--output is for the DataFrame: a live table shows the output of what is opened in it")
            references, filters = self._references(args.reference), _filters(args)
            if args.watch:
                return watch(*references, **filters)
            return ps(*references, **filters, output=args.output or self.settings.output)

    @no_var_expand
    @line_magic
    def hopx_watch(self, line: str) -> "LiveTable":
        """Show a live table of processes, with viewers of their output.

        ::

            %hopx_watch [ID or NAME ...] [--status S] [--lang L] [--name GLOB] [--since 2h] [--sort COL] [--limit N]
                        [--by status|name|connection|PARAM] [--columns COL,...] [--best min|max METRIC]
                        [--interval 1s] [--notify] [--on CONNECTION ...]

        The table follows the processes while other cells run, too. A click selects a row, a double click or Enter
        opens its output and displays below; the header sorts, the chips above filter. Keys: arrows, Enter opens,
        Escape closes, `/` searches, `k` kills and `r` launches again (both ask first), `?` lists all. In a terminal it
        is text, refreshed in place until Ctrl-C.

        Parameters, tags and metrics (the numbers that runs print: `loss: 0.3`) are columns: those that vary and the
        first metrics at once, the others from the menu at the right. By them one sorts, groups, and searches:
        `lr=0.1 loss<0.3`; the button beside the search lets it look through outputs, too. The tab "metrics" of a viewer
        has their curves: of the opened run, and of all selected ones in the same charts.

        Returns the table, which is an ipywidget: `w.selected` are the selected runs, `w.frame()` is a DataFrame of the
        shown rows, `w.close()` ends it.

        Options
        -------
        --status S     only these: queued, running, completed, failed, killed, unknown; several: running,failed
        --lang L       only this language
        --name GLOB    only names like this: train-*
        --since T      only what started within this time: 30m, 2h, 7d
        --sort COL     begin sorted by a column, a parameter or a metric too; -COL downwards
        --limit N      only the first N: what runs, then what is queued, then what has ended last
        --by COL       begin grouped by status, name, connection, or a parameter or tag: param.lr
        --columns C,.. only these beside status and name, in their order: lr,loss,memory,gpu; param.lr, tag.exp and
                       metric.loss are meant also when no run has them yet; remembered for the next table
        --best min M   a column for the best value of a metric, too: --best min loss, --best max accuracy
        --interval T   ask an agent that can't tell of changes this often: 1s (default), 5s
        --notify       let the browser tell when a process that ran for over 10 s has ended
        --on NAME      of this connection, if not the current one; several: --on a,b or --on all

        Examples
        --------
        ::

            %hopx_watch
            %hopx_watch --name train-* --by status
            %hopx_watch --columns lr,loss,memory --sort loss
            w = %hopx_watch --since 1d --notify
            w.frame().groupby("status", observed=True).size()
        """
        with self._arguments("hopx_watch", line) as args:
            from ..api.watch import watch

            references = self._references(args.reference)
            best = None if args.best is None else " ".join(args.best)
            shown = {"columns": args.columns, "best": best}
            return watch(*references, **_filters(args), **shown, interval=args.interval, notify=args.notify)

    @no_var_expand
    @line_magic
    def hopx_kill(self, line: str) -> "pd.DataFrame":
        """Kill processes, with all that they started, and check that they are dead.

        ::

            %hopx_kill ID ... | --status running | --all [--on CONNECTION ...]

        An ID is as in %hopx_logs, but a name means all its runs that are queued or running, and the whole of its last
        sweep; if none is, the newest. They are asked to end (SIGTERM, which lets Python cells run their `finally`
        clauses and `atexit` functions on this machine, and those reached by ssh), and forced to after some seconds. Of
        a process that has ended, those are killed that it has left running. Returns a DataFrame with the result for
        each: killed, leftovers killed, already finished, still running, or unknown id.

        Options
        -------
        --status S     all of this status: queued or running, or both as queued,running
        --all          all that are queued or running, and what ended ones have left running
        --on NAME      on this connection; several: --on a,b or --on all; without it a name means runs on any, and
                       the beginning of an id is looked for on the current one first

        Examples
        --------
        ::

            %hopx_kill train
            %hopx_kill proc_k3 proc_x9
            %hopx_kill --status queued
        """
        with self._arguments("hopx_kill", line) as args:
            statuses = ["queued", "running"] if args.all else args.status
            if not args.reference and not statuses:
                raise ValueError("say what to kill: an id, a name, --status running, or --all")
            from ..api.kill import kill

            on = args.on or None
            runs = self._runs(args.reference, on)
            with CountLine(self.shell, "killed") as line_below:
                return kill(*runs, status=statuses, leftovers=args.all, on=on, progress=line_below.show)


def _filters(args: Any) -> dict[str, Any]:
    """What is chosen of which connections, and in which order."""
    names = ("status", "language", "name", "since", "sort", "limit", "by")
    return {name: getattr(args, name) for name in names} | {"on": args.on or None}
