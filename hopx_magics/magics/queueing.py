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

        An ID is as in %hopx_logs, but a name means all its runs that are queued or running, and the whole of its last
        sweep. What runs is stopped with all that it started (SIGSTOP): it needs no processor any more, but keeps its
        memory and its place among those that run at once. Its running time and its time limit stand still. What is
        queued stays so, and lets others by. It stays paused when the notebook or the agent is gone, and can be killed.
        On this machine, and those reached by ssh. Returns a DataFrame with the result for each: paused, already paused,
        already finished, or unknown id.

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

    @no_var_expand
    @line_magic
    def hopx_queue(self, line: str) -> "pd.DataFrame":
        """Show what is queued, in the order of its turns, or change how much runs at once.

        ::

            %hopx_queue [--slots N|none] [SWEEP --limit N|none] [--on CONNECTION ...]

        Returns a DataFrame: the place, the name and id, what it waits for (slot, limit, resume, after, retry,
        resources) and why in words, when its start is expected, and the connection. A start is expected of what waits
        for a slot alone: by the progress that is printed by what runs, and by how long the same code took before, as
        far as either is known.

        Options
        -------
        --slots N      let the agent run N processes at once from now on; none: as many as it does by itself. On this
                       machine, and those reached by ssh
        --limit N      let N runs of this sweep run at once from now on; none: as many as may
        --on NAME      of this connection, if not the current one; several: --on a,b or --on all

        Nothing that runs is stopped for a smaller number. A SWEEP is named by its name, by one of its runs, or by the
        variable that holds it.

        Examples
        --------
        ::

            %hopx_queue
            %hopx_queue fit --limit 8
            %hopx_queue --slots 2
        """
        with self._arguments("hopx_queue", line) as args:
            from ..api.queue import queue

            if (args.reference is None) != (args.limit is None):
                raise ValueError("--limit is that of a sweep: say both, such as %hopx_queue fit --limit 4")
            on = args.on or None
            runs = self._runs([args.reference], on) if args.reference else None
            return queue(slots=args.slots, sweep=runs, limit=args.limit, on=on)

    def _wanted(self, args: Any) -> "list[Any]":
        if not args.reference and not args.queue:
            raise ValueError("say what: an id, a name, a variable with runs, or --queue")
        return self._runs(args.reference, args.on or None) if args.reference else []
