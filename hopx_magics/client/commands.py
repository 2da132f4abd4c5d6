"""Commands on an agent, in the foreground: always given to bash, since agents start programs without a shell."""

from collections.abc import Callable
from typing import Any

import msgspec

from ..errors import AgentRefused, BadReply, NotSupported
from ..models import CommandResult
from ..protocol.fields import read_integer
from ..protocol.replies import read_json, reject_catch_all
from ..protocol.requests import COMMANDS_RUN, CommandRequest
from .transport import Reply, Request, Transport

LONGEST = 300.0
"""Seconds that a command may take at most: agents end it then."""

READING_TAKES = 20.0
"""Seconds that a command may take that only reads."""

_ENDPOINT = f"POST {COMMANDS_RUN}"
_NO_ROUTE = (None, "NOT_FOUND")
"""The codes of a 404 that speaks of the route; any other one speaks of what the agent looked for."""


def run_command(
    transport: Transport, command: str, *, timeout: float = 30.0, workdir: str | None = None
) -> CommandResult:
    """Runs a line of bash and waits for it, for up to `timeout` seconds. It is sent once.

    Raises ValueError for a time limit that no agent grants, NotSupported when the agent runs no commands, AgentError.
    """
    if not 0 < timeout <= LONGEST:
        raise ValueError(f"a command in the foreground has up to {LONGEST:g} s: launch it with %%hopx_bg --lang bash")
    content = _answer(transport, transport.send, _request(command, timeout, workdir, patience=timeout))
    code = read_integer(content.get("exit_code"))
    return CommandResult(
        stdout=_text(content.get("stdout")),
        stderr=_text(content.get("stderr")),
        exit_code=code if code is not None else 0 if content.get("success") is True else 1,
    )


def read_by_command(transport: Transport, script: str) -> str:
    """What bash prints that runs a script which only reads. It is sent again for a while when no answer comes.

    Raises NotSupported when the agent runs no commands, BadReply when it doesn't tell what they print, AgentError.
    """
    content = _answer(transport, transport.read, _request(script, READING_TAKES, None))
    if not isinstance(content.get("stdout"), str):
        raise BadReply("its reply to a command has no stdout", agent=transport.label)
    return str(content["stdout"])


def _request(command: str, timeout: float, workdir: str | None, patience: float = 0.0) -> Request:
    body = CommandRequest(command="bash", args=["-c", command], timeout=timeout, workdir=workdir, working_dir=workdir)
    return Request("POST", COMMANDS_RUN, content=msgspec.json.encode(body), patience=patience)


def _answer(transport: Transport, send: Callable[[Request], Reply], request: Request) -> dict[str, Any]:
    """The reply of an agent that runs commands.

    Where one does not, that may be said by something in between and for a moment only: don't take it for good.
    """
    try:
        reply = send(request)
    except AgentRefused as error:
        if error.status == 408:
            error.hint = "--timeout 5m is the longest for the foreground; %%hopx_bg --lang bash has no limit."
        if error.status not in (405, 501) and not (error.status == 404 and error.code in _NO_ROUTE):
            raise
        lack, instead = "no commands run here in the foreground", "%%hopx_bg --lang bash launches one as a run."
        raise NotSupported(lack, agent=transport.label, hint=instead) from None
    content = read_json(reply.body, agent=transport.label)
    if not isinstance(content, dict):
        raise BadReply("its reply to a command is none", agent=transport.label)
    reject_catch_all(content, "stdout", agent=transport.label, endpoint=_ENDPOINT)
    return content


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
