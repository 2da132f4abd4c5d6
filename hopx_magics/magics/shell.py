"""The magics that do what a shell does, on an agent: commands in the foreground, and files."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import line_magic, magics_class, no_var_expand

from .base import HopxBase
from .live_line import TransferLine
from .words import compiled

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from ..models import CommandResult


@magics_class
class HopxShell(HopxBase):
    """Commands and files."""

    @no_var_expand
    @line_magic
    def hopx_sh(self, line: str) -> "CommandResult":
        """Run one line of bash on the agent, in the foreground.

        ::

            %hopx_sh [--on CONNECTION] [--timeout T] [--no-raise] COMMAND

        What follows the options is the command, with its quotes, pipes and `$`; only `{expression}` stands for what is
        in the notebook, if every `{...}` of the command does. Returns its output and exit code, and raises RunFailed
        when that is not 0.

        Options
        -------
        --on NAME      on this connection, if not the current one
        --timeout T    end it after this time: 30s (default), 5m at most
        --no-raise     return the result also when it failed

        Examples
        --------
        ::

            %hopx_sh ls -l | head
            %hopx_sh --on gpu nvidia-smi
            %hopx_sh pip install {package}
        """
        options, command = _split_command(line)
        with self._arguments("hopx_sh", options) as args:
            if not command:
                raise ValueError("there is no command: %hopx_sh ls -l | head")
            from ..api.shell import run_command
            from ..display.in_words import command_failure_in_words
            from ..errors import RunFailed

            result = run_command(
                _with_values(command, self.shell.user_ns),
                timeout=30.0 if args.timeout is None else args.timeout,
                on=args.on,
            )
        if result.exit_code and not args.no_raise:
            raise RunFailed(command_failure_in_words(command, result))
        return result

    @no_var_expand
    @line_magic
    def hopx_put(self, line: str) -> list[str]:
        """Copy files of this machine to the agent.

        ::

            %hopx_put LOCAL ... REMOTE [--on CONNECTION]

        REMOTE is a folder if it ends in `/` or if there are several files; folders that are missing are made. Relative
        paths are below the agent's work folder, `/workspace`. Returns the paths there.

        Options
        -------
        --on NAME      to this connection, if not the current one

        Examples
        --------
        ::

            %hopx_put data.csv data/
            %hopx_put a.csv b.csv /workspace/data --on gpu
        """
        with self._arguments("hopx_put", line) as args:
            from ..api.shell import put

            *local, remote = args.path
            if not local:
                raise ValueError("say what to copy and to where: %hopx_put LOCAL ... REMOTE")
            with TransferLine(self.shell, "to") as line_below:
                return put(local, remote, on=args.on, progress=line_below.show_copied)

    @no_var_expand
    @line_magic
    def hopx_get(self, line: str) -> "Path":
        """Copy a file of the agent to this machine: whole, or not at all.

        ::

            %hopx_get REMOTE [LOCAL] [--on CONNECTION]

        LOCAL may be a folder; by default it is this one. Returns where the file is. REMOTE on a Ray cluster is
        RUN_ID/FILE: what a run has written into the folder in which it works.

        Options
        -------
        --on NAME      from this connection, if not the current one

        Examples
        --------
        ::

            %hopx_get model.pkl
            %hopx_get /workspace/out/model.pkl models/ --on gpu
        """
        with self._arguments("hopx_get", line) as args:
            from ..api.shell import get

            with TransferLine(self.shell, "from") as line_below:
                return get(args.remote, args.local or ".", on=args.on, progress=line_below.show_copied)

    @no_var_expand
    @line_magic
    def hopx_ls(self, line: str) -> "pd.DataFrame":
        """List the files of a folder of the agent as a pandas DataFrame.

        ::

            %hopx_ls [PATH] [--on CONNECTION]

        On a Ray cluster it is RUN_ID, or RUN_ID/FOLDER: the folder in which a run works.

        Options
        -------
        --on NAME      of this connection, if not the current one

        Examples
        --------
        ::

            %hopx_ls
            %hopx_ls data --on gpu
        """
        with self._arguments("hopx_ls", line) as args:
            from ..api.shell import ls

            return ls(args.path, on=args.on)


def _split_command(line: str) -> tuple[str, str]:
    """The options ahead of a command, and the command as it is."""
    options: list[str] = []
    rest = line.strip()
    while rest.startswith("--"):
        word, _, rest = rest.partition(" ")
        options.append(word)
        rest = rest.lstrip()
        if word in ("--on", "--timeout"):
            value, _, rest = rest.partition(" ")
            options.append(value)
            rest = rest.lstrip()
        elif word not in ("--no-raise", "--help") and not word.startswith(("--on=", "--timeout=")):
            raise UsageError(
                f"%hopx_sh: there is no option {word[:60]}; options come ahead of the command (help: %hopx_sh?)"
            )
    return " ".join(options), rest


def _with_values(command: str, namespace: Mapping[str, Any]) -> str:
    """The command with each `{expression}` replaced by its value; as it is when one of them has none, as in awk."""
    parts = _BRACES.split(command)
    try:
        parts[1::2] = [_text_of_value(inner, namespace) for inner in parts[1::2]]
    except Exception:  # an expression is the user's code and can fail in any way; bash has braces of its own
        return command
    return "".join(parts)


_BRACES = re.compile(r"\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}")


def _text_of_value(expression: str, namespace: Mapping[str, Any]) -> str:
    code = compiled(expression)
    value = eval(code, dict(namespace)) if code else None
    if code is None or callable(value):  # awk's `{print}`, for one
        raise ValueError(expression)
    return str(value)
