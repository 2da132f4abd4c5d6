"""The magics of the queue: what runs and what waits is paused, goes on, and is put into another order."""

from typing import TYPE_CHECKING, Any

from IPython.core.magic import line_magic, magics_class, no_var_expand

from .base import HopxBase

if TYPE_CHECKING:
    import pandas as pd


@magics_class
class HopxQueue(HopxBase):
    """Pausing, resuming, and the queue."""

    @no_var_expand
    @line_magic
    def hopx_pause(self, line: str) -> "pd.DataFrame":
        """Pause runs, or all that is queued, until %hopx_resume.

        ::

            %hopx_pause ID ... | --queue [--on CONNECTION ...]

        An ID is as in %hopx_logs, but a name means all its runs that have not ended, and the whole of its last sweep.
        What runs is stopped with all that it started (SIGSTOP): it needs no processor any more, but keeps its memory
        and its place among those that run at once. Its running time and its time limit stand still. What is queued
        stays so, and lets others by. It stays paused when the notebook or the agent is gone, and can be killed. On this
        machine. Returns a DataFrame with the result for each: paused, already paused, already finished, or unknown id.

        Options
        -------
        --queue        start nothing more of what is queued, or will be
        --on NAME      on this connection; several: --on a,b or --on all

        Examples
        --------
        ::

            %hopx_pause train
            %hopx_pause --queue
            %hopx_resume train
        """
        with self._arguments("hopx_pause", line) as args:
            from ..api.pause import pause

            return pause(*self._wanted(args), queue=args.queue, on=args.on or None)

    @no_var_expand
    @line_magic
    def hopx_resume(self, line: str) -> "pd.DataFrame":
        """Let paused runs go on, or the queue.

        ::

            %hopx_resume ID ... | --queue [--on CONNECTION ...]

        An ID is as in %hopx_pause. Returns a DataFrame with the result for each: resumed, not paused, already finished,
        or unknown id.

        Options
        -------
        --queue        start what is queued again
        --on NAME      on this connection; several: --on a,b or --on all

        Examples
        --------
        ::

            %hopx_resume train
            %hopx_resume --queue
        """
        with self._arguments("hopx_resume", line) as args:
            from ..api.pause import resume

            return resume(*self._wanted(args), queue=args.queue, on=args.on or None)

    def _wanted(self, args: Any) -> "list[Any]":
        if not args.reference and not args.queue:
            raise ValueError("say what: an id, a name, a variable with runs, or --queue")
        return self._runs(args.reference, args.on or None) if args.reference else []
