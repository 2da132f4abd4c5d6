"""The magic that says what is wrong."""

from typing import TYPE_CHECKING

from IPython.core.magic import line_magic, magics_class, no_var_expand

from .base import HopxBase

if TYPE_CHECKING:
    from ..display.diagnosis import Diagnosis


@magics_class
class HopxDoctor(HopxBase):
    """The doctor."""

    @no_var_expand
    @line_magic
    def hopx_doctor(self, line: str) -> "Diagnosis":
        """Look for what is wrong, and say what it means and what to do.

        ::

            %hopx_doctor [CONNECTION | ssh://HOST | URL] [--fix]

        Looks at this program and its libraries, the page (whether it shows widgets, and whether messages to it get
        lost), the environment, the history, the local agent with its disk, memory and GPUs, all connections, and, where
        there is an account, at the way to HopX. With a CONNECTION, at that one alone; with an address, at
        the way there, step by step, also when nothing is connected to it.

        Each check is ok, attention, broken, or not checked. Nothing is changed, and no agent is started. What is shown
        has no tokens, keys, passwords or values of other secrets in it, and `~` for your home folder: it can be pasted
        into an issue. `hopx_magics.doctor()` returns it as a DataFrame.

        Options
        -------
        --fix          make good what can safely be, then look again:
                       a local agent that was killed is started anew, so that what was queued goes on;
                       one that hangs is ended and started anew, which takes over what runs;
                       one of another version is ended when it has nothing to do;
                       a damaged history is set aside, where it stays, and a fresh one begins;
                       a history that is over its limits loses its oldest runs, or their outputs.
                       Nothing that runs is ended

        Examples
        --------
        ::

            %hopx_doctor
            %hopx_doctor gpu
            %hopx_doctor ssh://gpu-box
            %hopx_doctor --fix
        """
        with self._arguments("hopx_doctor", line, greets=False) as args:
            from ..api.doctor import diagnose
            from ..display.diagnosis import Diagnosis

            return Diagnosis(*diagnose(args.connection, fix=args.fix))
