"""One command on an agent, in the foreground: always given to bash, since agents start programs without a shell."""

import msgspec

from .. import protocol
from ..errors import AgentRefused, BadReply, NotSupported
from ..models import CommandResult
from ..protocol.replies import read_json, reject_catch_all
from .transport import Request, Transport

LONGEST = 300.0
"""Seconds that a command may take at most: agents end it then."""


def run_command(
    transport: Transport, command: str, *, timeout: float = 30.0, workdir: str | None = None
) -> CommandResult:
    """Runs a line of bash and waits for it, for up to `timeout` seconds. It is sent once.

    Raises ValueError for a time limit that no agent grants, NotSupported when the agent runs no commands, AgentError.
    """
    if not 0 < timeout <= LONGEST:
        raise ValueError(f"a command in the foreground has up to {LONGEST:g} s: launch it with %%hopx_bg --lang bash")
    endpoint = f"POST {protocol.COMMANDS_RUN}"
    wanted = protocol.CommandRequest(
        command="bash", args=["-c", command], timeout=timeout, workdir=workdir, working_dir=workdir
    )
    request = Request("POST", protocol.COMMANDS_RUN, content=msgspec.json.encode(wanted), patience=timeout)
    try:
        reply = transport.send(request)
    except AgentRefused as error:
        if error.status not in (405, 501) and not (error.status == 404 and error.code is None):
            raise
        raise NotSupported(f"this agent does not support {endpoint}", agent=transport.label) from None
    content = read_json(reply.body, agent=transport.label)
    if not isinstance(content, dict):
        raise BadReply("its reply to a command is none", agent=transport.label)
    reject_catch_all(content, "stdout", agent=transport.label, endpoint=endpoint)
    code = content.get("exit_code")
    return CommandResult(
        stdout=_text(content.get("stdout")),
        stderr=_text(content.get("stderr")),
        exit_code=code if isinstance(code, int) else 0 if content.get("success") is True else 1,
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
