"""The magics of the run history."""

from typing import TYPE_CHECKING, Any

from IPython.core.magic import line_magic, magics_class, no_var_expand
from traitlets import Unicode

from .base import HopxBase
from .values import pack

if TYPE_CHECKING:
    import pandas as pd

    from ..display.diff_page import Differences
    from ..display.run_page import Shown
    from ..run import Run
    from ..sweeps import Sweep


@magics_class
class HopxHistory(HopxBase):
    """The history of all runs. Settings: `%config HopxHistory`."""

    file = Unicode("", help="The file of the run history; empty: the one that HOPX_HISTORY names, or the default.").tag(
        config=True
    )

    @no_var_expand
    @line_magic
    def hopx_history(self, line: str) -> "pd.DataFrame":
        """Show every run ever made as a pandas DataFrame, newest first.

        ::

            %hopx_history [--name GLOB] [--tag K=V ...] [--status S] [--lang L] [--since 7d] [--sweep ID] [--limit N]
                          [--code] [--output] [--prune [--yes]]

        The history is a file on this machine. It has what was launched from here, with code, parameters and times, and
        how it ended, also when the agent has long forgotten it; and what else the agents have listed. `seen_at` is when
        the state was last seen: a run whose agent can't be reached is as it was then.

        Parameters are columns `param.NAME`, tags are columns `tag.NAME`. `values_in` and `values_out` are the names of
        the variables that a cell got and has kept, `displays` is how many displays it had. `df.hopx` sums up and draws:
        `df.hopx.by("param.lr")`, `df.hopx.metrics()`, `df.hopx.sweep("loss")`, `df.hopx.curves("loss")`,
        `df.hopx.timeline()`, `df.hopx.durations()`.

        Options
        -------
        --name GLOB    only names like this: train-*
        --tag K=V      only with this tag; can be given several times
        --status S     only these: queued, running, completed, failed, killed, unknown; several: running,failed
        --lang L       only this language
        --since T      only what was launched within this time: 30m, 2h, 7d
        --sweep ID     only the runs of this sweep
        --limit N      only the N newest
        --code         with the code of each
        --output       with stdout and stderr: of long ones the first and the last half megabyte
        --prune        show what would go instead: what is chosen, or without a choice what is beyond the limits
        --yes          with --prune: let it go

        Examples
        --------
        ::

            df = %hopx_history --since 7d
            %hopx_history --name train-* --tag exp=baseline
            %hopx_history --sweep 3f2a9c01 --output
            %hopx_history --prune --name test-* --yes
        """
        with self._arguments("hopx_history", line) as args:
            from ..api.history import history, prune

            chosen = _chosen(args)
            if args.yes and not args.prune:
                raise ValueError("--yes is for --prune")
            if args.prune:
                return prune(**chosen, really=args.yes)
            return history(**chosen, code=args.code, output=args.output)

    @no_var_expand
    @line_magic
    def hopx_grep(self, line: str) -> "pd.DataFrame":
        """Search what runs have printed: a pandas DataFrame of the lines, those of the newest run first.

        ::

            %hopx_grep PATTERN [--ignore-case] [--name GLOB] [--tag K=V ...] [--status S] [--lang L] [--since 7d]
                       [--sweep ID] [--limit N]

        PATTERN is a regular expression, in quotes where it has spaces. Both streams of all runs are searched, as a
        terminal would show them: of those that have ended what the history keeps, of those that go on what they have
        printed by now. `line` is the number of the line in `%hopx_logs`, `text` what stands there.

        In a notebook each line is shown with its run, what that was given, and what was found marked. The number of a
        line opens the output there, below the table, as long as an agent has it.

        Options
        -------
        -i, --ignore-case   small and large letters are the same
        --name, --tag, --status, --lang, --since, --sweep, --limit
                            which runs are searched, as in %hopx_history

        Examples
        --------
        ::

            %hopx_grep "out of memory" -i --since 7d
            %hopx_grep ^epoch --name train-* --status failed
        """
        with self._arguments("hopx_grep", line) as args:
            from ..api.grep import grep

            return grep(args.pattern, ignore_case=args.ignore_case, **_chosen(args))

    @no_var_expand
    @line_magic
    def hopx_show(self, line: str) -> "Shown":
        """Show everything about one run: its code, parameters, values, times, how it ended, and what it has shown.

        ::

            %hopx_show RUN

        RUN is the id of a run or of a process, the clear beginning of one, a name, or a variable that holds a Run. A
        name means the newest run of it, and that there are others is said. The run may be one of last week, and its
        agent long gone. What a cell has shown is there in its order: text, pictures, tables, its last value, its error.
        Of the variables that it got and left there are names, types and sizes.

        Examples
        --------
        ::

            %hopx_show train
            %hopx_show 4be1
        """
        with self._arguments("hopx_show", line) as args:
            from ..api.history import show

            return show(self._one(args.reference))

    @no_var_expand
    @line_magic
    def hopx_rerun(self, line: str) -> "Run | Sweep | None":
        """Launch the code of an earlier run again, with what it was launched with.

        ::

            %hopx_rerun RUN [--param K=V ...] [--env K=V ...] [--in auto|none|NAME,...] [--here | --on CONNECTION]
                        [-o VAR] [-q]
            %hopx_rerun --failed SWEEP [-o VAR] [-q]

        RUN is as in %hopx_show: of several runs with a name the newest. The new run has the old one in its column
        `rerun_of`. It runs where the old one ran, with the variables of the notebook that the old one got, as they were
        then, as long as its agent has them. Values of environment variables are not kept: those of another session are
        given again. What it needs, what ends it, and what is done then (--gpus, --cpus, --memory, --timeout,
        --stop-when, --retry, --notify) holds again; in a later session notices go where those of any launch do, since
        the history keeps no URLs of them. It doesn't wait for what the old one came after (--after), which has ended
        long since.

        With `--failed` all of a sweep that failed or were killed are launched again, as a sweep of their own, and with
        its --limit. SWEEP is its name, or a variable that holds it. What can't be launched is told of.

        Options
        -------
        --failed       all that failed of a sweep
        --param K=V    another value of a parameter, or one more
        --env K=V      an environment variable; can be given several times
        --in NAMES     the notebook's variables as they are now, not then: auto, those that it uses; none; or df,model
        --here         on this machine
        --on NAME      on this connection
        -o VAR         put the Run into this variable
        -q, --quiet    show nothing below the cell

        Examples
        --------
        ::

            %hopx_rerun train
            %hopx_rerun 4be1 --param lr=0.2 -o again
            %hopx_rerun train --in auto
            %hopx_rerun --failed train
        """
        with self._arguments("hopx_rerun", line) as args:
            from ..api.find import kept_run
            from ..api.launch import rerun
            from ..connection.local import LOCAL

            if args.failed:
                return self._given_back(self._failed_again(args), args)
            again: Run | str = self._one(args.reference)
            values: Any = None
            if args.values:
                kept = kept_run(again)
                again, values = kept.run_id, pack(self.shell, kept.code or "", args.values, kept.language or "") or {}
            on = LOCAL if args.here else args.on
            run = rerun(again, params=dict(args.param), env=dict(args.env), on=on, values=values)
        return self._given_back(run, args)

    def _failed_again(self, args: Any) -> "Sweep":
        from ..sweeps import Sweep

        if args.param or args.env or args.values:
            raise ValueError("--failed launches all as they were: --param, --env and --in are for one run")
        again = Sweep(self._runs([args.reference], None), "").rerun_failed()
        if not again:
            raise ValueError(f"none of {args.reference.text} has failed")
        return again

    def _given_back(self, launched: "Run | Sweep", args: Any) -> "Run | Sweep | None":
        if args.o:
            self.shell.user_ns[args.o] = launched
        return None if args.quiet else launched

    @no_var_expand
    @line_magic
    def hopx_diff(self, line: str) -> "Differences":
        """Show in what two runs differ: code, parameters, values, tags, times, displays, and the end of the output.

        ::

            %hopx_diff RUN RUN

        RUN is as in %hopx_show: of several runs with a name the newest. The history does not have the values of
        variables; by their types, sizes and hashes it tells which ones differ. Large ones that it has not hashed are
        "not compared".

        Examples
        --------
        ::

            %hopx_diff 4be1 90c7
            %hopx_diff {runs[0].run_id} {runs[-1].run_id}
        """
        with self._arguments("hopx_diff", line) as args:
            from ..api.history import diff

            return diff(self._one(args.one), self._one(args.other))

    @no_var_expand
    @line_magic
    def hopx_attach(self, line: str) -> "Run":
        """Get the Run of something that was launched earlier, from any kernel.

        ::

            %hopx_attach RUN [--on CONNECTION] [-o VAR]

        RUN is as in %hopx_show: of several runs with a name the newest. What its agent still has can be read, waited
        for and killed like a run of this kernel. What is gone is shown as the history knows it, and says so: all that
        it has shown is there, and its result and kept variables of up to 64 kB.

        Options
        -------
        --on NAME      look on this connection first, if not on the current one
        -o VAR         put the Run into this variable

        Examples
        --------
        ::

            run = %hopx_attach train
            %hopx_attach 4be1 -o run
        """
        with self._arguments("hopx_attach", line) as args:
            run = self._run(args.reference, args.on)
        if args.o:
            self.shell.user_ns[args.o] = run
        return run


def _chosen(args: Any) -> dict[str, Any]:
    """Which runs the arguments choose."""
    names = ("name", "status", "language", "since", "sweep", "limit")
    return {name: getattr(args, name) for name in names} | {"tags": dict(args.tag)}
