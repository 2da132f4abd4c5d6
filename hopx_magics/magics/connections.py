"""The magics of connections, and of HopX sandboxes."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from IPython.core.magic import line_magic, magics_class, no_var_expand

from .base import HopxBase
from .line import once
from .live_line import StateLine

if TYPE_CHECKING:
    import pandas as pd

    from ..connection.connection import Connection
    from ..display.document import Document


_OF_SSH = ("python", "setup", "install", "sync")
_OF_RAY = ("pip", "env_file", "trust", "insecure")


@magics_class
class HopxConnections(HopxBase):
    """Connecting, and HopX sandboxes."""

    @no_var_expand
    @line_magic
    def hopx_connect(self, line: str) -> "Connection | list[Connection] | pd.DataFrame":
        """Show, add or choose the connection: the agent that all magics speak to.

        ::

            %hopx_connect [local | NAME | URL | SANDBOX_ID | VAR] [--as NAME] [--token-env VAR] [--resume]
            %hopx_connect ssh://[USER@]HOST[:PORT] [--as NAME] [--sync] [--install] [--python PATH]
                [--setup COMMAND] [--no-trust]
            %hopx_connect ray URL [--as NAME] [--pip PACKAGE,... | --env-file FILE] [--trust] [--insecure]
            %hopx_connect --forget NAME
            %hopx_connect --new [TEMPLATE] [-n 4] [--timeout 4h] [--env K=V ...] [--region R] [--as NAME]

        Without arguments: a DataFrame of all connections, with those that earlier kernels had by ssh or to a URL: they
        are kept without secrets, and made again by their names. `local` is the agent of this machine, which is started
        when it is needed and is the connection until another one is chosen, or the one that
        `%config HopxMagics.connection = "gpu1"` names: that is connected to when it is first needed.

        A sandbox of HopX is found by its id, or is held by a variable as an object of the vendor's SDK. Its account is
        that of the API key in HOPX_API_KEY, or of the vendor's command line program. A URL is that of any agent. Its
        token is never written on the line, where the notebook would keep it: it is read from the environment variable
        VAR, else from HOPX_AGENT_TOKEN, else asked for.

        A machine that you reach by ssh runs the same agent as this one, which goes on when the notebook ends. It needs
        Python 3.11 and this package. Your own ssh is used with your configuration, keys and jump hosts, and never asks
        for anything: what needs a password or the approval of a host key is done once by `ssh HOST` in a terminal. A
        connection that breaks is made again by itself, and what runs there goes on meanwhile. Cells work in the folder
        `~/hopx/NAME` there, from which %hopx_get brings files. Limits and GPUs are those of that machine. What cells
        leave there is loaded like what they leave here.

        A Ray cluster is reached by the dashboard of its head, and its jobs are processes: Ray's scheduler places what
        is launched, which needs a processor, or the `--cpus`, `--gpus` and `--memory` that it asks for. Nothing is
        installed there. The token and headers are those of Ray's own programs: RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH,
        RAY_JOB_HEADERS. Inside a cell `ray.init()` is that cluster. The jobs of others are listed, too. Of what was
        launched from here and has ended, the head keeps the newest 1,000 (HOPX_KEEP_FINISHED), with their results and
        files; the history has what older ones have printed and shown.

        Options
        -------
        --as NAME        what to call the connection, if not after its host or id
        --token-env VAR  the environment variable that holds the token of a URL
        --resume         resume the sandbox if it is paused; without this it stays so
        --sync           copy the notebook's folder to `~/hopx/NAME` first, what is new in it, without what its
                         `.gitignore` leaves out; nothing there is deleted
        --install        install this package on the other machine, if it isn't there in this version: in an environment
                         of its own, in your data folder there
        --python PATH    the Python of the other machine, if not one that a login finds there
        --setup COMMAND  what a shell does there before: "module load cuda"
        --forget NAME    don't keep how this connection is made
        --no-trust       load only values that are read without running code, as from a sandbox
        --trust          load all that cells have left on a Ray cluster, which only those use whom you trust
        --pip PACKAGES   what pip installs for what runs on a Ray cluster: "numpy,pandas>=2"
        --env-file FILE  a YAML file with all that runs have there: a runtime_env of Ray
        --insecure       speak http to a Ray head on another machine, in a network that you trust
        --new TEMPLATE   create a sandbox of a template (code-interpreter), and wait until it is ready
        -n N             create so many
        --timeout T      let HopX delete them after this time: 90m, 4h
        --env K=V        an environment variable of the new sandboxes; can be given several times
        --region R       where to create them

        Examples
        --------
        ::

            %hopx_connect
            %hopx_connect 1763385739w4r6dokq --as gpu
            %hopx_connect --new -n 2 --timeout 4h --as work
            %hopx_connect ssh://gpu1 --install --sync
            %hopx_connect ssh://me@gpu1 --setup "module load cuda python"
            %hopx_connect ray http://127.0.0.1:8265 --pip scikit-learn
            %hopx_connect https://7777-abc.eu2.vms.hopx.dev --as gpu --token-env GPU_TOKEN
            %hopx_connect local
        """
        with self._arguments("hopx_connect", line) as args:
            from ..api.connect import connect, connections, forget
            from ..client.transport import checked_url
            from ..client.vendor import is_vendor_sandbox

            name = getattr(args, "as")
            if args.new is not None:
                return self._created(args, name)
            if args.forget is not None:
                forget(args.forget)
                return connections()
            for option in ("n", "timeout", "region"):
                if getattr(args, option) is not None:
                    raise ValueError(f"{'-' if option == 'n' else '--'}{option} is for --new")
            for option in ("as", "token_env", "resume", *_OF_SSH, *_OF_RAY, "no_trust"):
                if args.target is None and getattr(args, option):
                    raise ValueError(f"--{option.replace('_', '-')} is for a URL, or the id of a sandbox")
            if args.target is None:
                return connections()
            if args.address is not None and args.target != "ray":
                raise ValueError(f"{args.address!r} is one too many: only ray has an address behind it")
            if args.target == "ray" and args.address is not None:
                args.target = f"ray {args.address}"
            how = {option: getattr(args, option) for option in (*_OF_SSH, "insecure", "env_file")}
            how["pip"] = [package for each in args.pip or () for package in each.split(",") if package.strip()]
            how["trust"] = False if args.no_trust else args.trust or None
            is_ssh = args.target.startswith(("ssh://", "ray "))
            if is_ssh and (args.token_env or args.resume):
                raise ValueError(f"--{'token-env' if args.token_env else 'resume'} is not for ssh and Ray")
            if args.token_env and "://" not in args.target:
                raise ValueError("--token-env is for the URL of an agent")
            value = self.shell.user_ns.get(args.target)
            if is_vendor_sandbox(value):
                return connect(value, name=name)
            is_url = "://" in args.target and not is_ssh
            token = _token(checked_url(args.target), args.token_env) if is_url else None
            with StateLine(self.shell) as line_below:
                return connect(args.target, name=name, token=token, resume=args.resume, say=line_below, **how)

    def _created(self, args: Any, name: str | None) -> "Connection | list[Connection]":
        from ..api.connect import create

        if args.target is not None:
            raise ValueError(f"{args.target} is there already, and --new creates another one: use one of them")
        count, env = 1 if args.n is None else args.n, once("--env", args.env)
        with StateLine(self.shell) as line_below:
            made = create(args.new, count, name=name, timeout=args.timeout, region=args.region, env=env, say=line_below)
        return made[0] if len(made) == 1 else made

    @no_var_expand
    @line_magic
    def hopx_disconnect(self, line: str) -> "Document":
        """Forget a connection. What runs there goes on.

        ::

            %hopx_disconnect NAME [--delete]

        Options
        -------
        --delete       delete the sandbox, with all that is in it and runs in it

        Examples
        --------
        ::

            %hopx_disconnect gpu
            %hopx_disconnect work-2 --delete
        """
        with self._arguments("hopx_disconnect", line) as args:
            from ..api.connect import disconnect
            from ..display.in_words import disconnected_in_words

            connection = disconnect(args.name, delete=args.delete)
            return _sentence(disconnected_in_words(connection.name, connection.place.sandbox, deleted=args.delete))

    @no_var_expand
    @line_magic
    def hopx_sandboxes(self, line: str) -> "pd.DataFrame":
        """Show all HopX sandboxes of the account as a pandas DataFrame.

        ::

            %hopx_sandboxes

        With status, template, region, resources, when each expires, and as what it is connected here.

        Examples
        --------
        ::

            %hopx_sandboxes
            boxes = %hopx_sandboxes
            boxes[boxes["status"] == "running"]
        """
        with self._arguments("hopx_sandboxes", line):
            from ..api.connect import sandboxes

            return sandboxes()

    @no_var_expand
    @line_magic
    def hopx_extend(self, line: str) -> "Document":
        """Let a sandbox go on for longer: HopX deletes it when its time is over.

        ::

            %hopx_extend NAME TIME

        TIME counts from now. Says when the sandbox ends then; `hopx_magics.extend` returns that.

        Examples
        --------
        ::

            %hopx_extend gpu 2h
        """
        with self._arguments("hopx_extend", line) as args:
            from ..api.connect import extend
            from ..display.in_words import extended_in_words

            return _sentence(extended_in_words(args.name, extend(args.name, args.time), datetime.now(UTC)))


def _sentence(text: str) -> "Document":
    """What a magic answers when there is nothing but words to give."""
    from ..display.document import Document, Note

    return Document([Note(text)])


def _token(url: str, variable: str | None) -> str | None:
    import os
    from getpass import getpass

    token = os.environ.get(variable or "HOPX_AGENT_TOKEN")
    if token:
        return token
    if variable:
        raise ValueError(f"the environment variable {variable} is not set")
    try:
        return getpass(f"Token of {url[:200]} (empty for none): ") or None
    except (EOFError, RuntimeError, NotImplementedError):  # a kernel without a front end that could ask
        raise ValueError("nobody can be asked for the token: set HOPX_AGENT_TOKEN, or use --token-env VAR") from None
