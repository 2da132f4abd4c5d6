"""The magics that follow runs: what they print, and when they end."""

from typing import TYPE_CHECKING, Any

from IPython.core.magic import line_magic, magics_class, no_var_expand

from .base import HopxBase
from .live_line import StateLine

if TYPE_CHECKING:
    import pandas as pd

    from ..run import Run
    from ..words import Stream


class Logs(str):
    """The text of a log, shown as it is and not as a Python string, with a `note` below."""

    note = ""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text("\n".join(filter(None, (str(self), self.note and f"[{self.note}]"))))


@magics_class
class HopxFollowing(HopxBase):
    """Output as it comes, and waiting."""

    @no_var_expand
    @line_magic
    def hopx_logs(self, line: str) -> Logs | None:
        """Show the output of a process as a terminal would show it.

        ::

            %hopx_logs ID [--stderr | --both] [--tail N] [-f] [--on CONNECTION]

        ID is an id, the clear beginning of one, a name, or a variable that holds a Run. A name means the newest run of
        it, and that there are others is said.
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
        with self._arguments("hopx_logs", line) as args:
            from ..api.logs import left_out_of, logs

            run = self._run(args.reference, args.on)
            streams: tuple[Stream, ...] = (
                ("stdout", "stderr") if args.both else ("stderr",) if args.stderr else ("stdout",)
            )
            if args.follow:
                self._follow(run, streams, args.tail)
                run.refresh()
                if note := left_out_of(run, streams):
                    print(f"[{note}]")  # noqa: T201
                return None
            shown = Logs(logs(run, streams=streams, tail=args.tail))
            shown.note = left_out_of(run, streams)
            return shown

    @no_var_expand
    @line_magic
    def hopx_wait(self, line: str) -> "pd.DataFrame":
        """Wait until processes have ended.

        ::

            %hopx_wait [ID ...] [--any | --all] [--timeout T] [--no-raise] [--on CONNECTION ...]

        An ID is as in %hopx_logs, but a name means all its runs that are queued or running, and the whole of its last
        sweep; if none is, the newest. Without one: for what this notebook has launched and not yet waited for, and if
        that is nothing, for all that is queued or running. Returns the DataFrame, and raises RunFailed, with the end of
        its stderr, when one of them failed or was killed. Ctrl-C (interrupt) ends the waiting, never a process.

        Options
        -------
        --any          until the first of them has ended
        --all          until all of them have ended (default)
        --timeout T    wait no longer than this: 90s, 15m, 2h
        --no-raise     return the DataFrame also when one failed
        --on NAME      on this connection; several: --on a,b or --on all; without it a name means runs on any, and
                       the beginning of an id is looked for on the current one first

        Examples
        --------
        ::

            %hopx_wait train
            %hopx_wait --timeout 10m
            done = %hopx_wait a b c --any --no-raise
        """
        with self._arguments("hopx_wait", line) as args:
            from ..api.logs import check_completed
            from ..api.ps import frame_of
            from ..api.wait import wait
            from ..display.in_words import waiting_in_words

            on = args.on or None
            with StateLine(self.shell) as line_below:
                runs = wait(
                    *(meant for word in args.reference for meant in self._meant(word)),
                    any_one=args.any,
                    timeout=args.timeout,
                    progress=lambda processes, total: line_below(waiting_in_words(processes, total)),
                    on=on,
                )
            if not runs:
                print("nothing is running")  # noqa: T201
            if not args.no_raise:
                check_completed(runs)
            return frame_of(runs)

    def _follow(self, run: "Run", streams: Any, lines: int | None) -> None:
        """Prints what comes; in the cell's own thread, so that it lands in the cell's own output."""
        from ..output.sequences import StreamFilter
        from ..output.shown import last_lines

        filters: dict[Any, StreamFilter] = {}
        try:
            for stream, text in run.follow(streams):
                if stream not in filters and lines is not None:  # what was there before is cut to its last lines
                    text = last_lines(text, lines) + ("\n" if lines and text.endswith("\n") else "")
                print(filters.setdefault(stream, StreamFilter()).feed(text), end="", flush=True)  # noqa: T201
        except KeyboardInterrupt:
            print(f"\n[stopped following; {run.process_id} goes on]")  # noqa: T201
