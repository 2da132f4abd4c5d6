"""Every error that this package raises on purpose.

HopxError
├── AgentError               one agent, named by `.agent`, did not do what was asked
│   ├── AgentUnreachable     no answer: refused, reset, timed out, unknown host
│   │   └── SshError         ssh does not lead to the agent
│   ├── AgentRefused         an answer with an error status; `.status` and `.code` tell which
│   │   └── Unauthorized     401: no token, a wrong or an expired one
│   ├── BadReply             an answer that can't be understood, or is too large
│   └── NotSupported         the agent doesn't have the endpoint
├── LocalAgentError          the local agent could not be started on this machine
├── ControlPlaneError        HopX's control plane did not do what was asked
├── SandboxError             a HopX sandbox can't be used
│   ├── SandboxGone          it was deleted, has expired, or never was
│   ├── SandboxNotReady      it is still being created, or its agent is still starting
│   └── NotYours             it belongs to someone else
├── CredentialsError         a file that may hold the API key can't be read
├── InsecureConnection       the token would travel unencrypted to another machine
├── CodeError                the code does not compile; nothing was launched
├── LaunchError              nothing was launched, or nothing that can be found
├── UnknownProcess           no process has that id, prefix or name
├── UnknownRun               no run in the history has that id, prefix or name
├── HistoryError             the run history can't be read or written
├── UnknownConnection        no connection has that name
├── UnknownColumn            a DataFrame has no such column; also a ValueError
├── WaitTimeout              the process goes on, the waiting ended
├── RunFailed                a run that was waited for did not complete
└── ResultError              what a run has left is not kept, or can't be loaded here

KeyboardInterrupt
├── WaitInterrupted          Ctrl-C ended the waiting; what was waited for goes on
└── LaunchInterrupted        Ctrl-C ended the launching of a sweep; what was launched goes on

UserWarning
├── AgentWarning             one of several agents does not do what was asked; the others do
├── HistoryWarning           the run history can't be written, or had to begin anew; everything else goes on
└── NameWarning              a name means the newest of several runs, or not all that have it can be reached

A wrong argument is a ValueError from Python and a UsageError from a magic. In a notebook a HopxError
shows its own two or three lines instead of a traceback: what failed, where, and what to try.
"""

import sys
import traceback
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .sweeps import Sweep

_NOT_THE_USERS = ("hopx_magics", "IPython", "contextlib")


class HopxError(Exception):
    """Base of all errors of this package. `hint` says what to try."""

    shown_by_doctor = False
    """Whether `%hopx_doctor` would show the cause: then the text ends with that."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        more = "%hopx_doctor says more." if self.shown_by_doctor else None
        try_this = " ".join(text for text in (self.hint, more) if text)
        return f"{self.message}\n{try_this}" if try_this else self.message

    def _render_traceback_(self) -> list[str]:
        return f"{type(self).__name__}: {self}".splitlines()


class AgentError(HopxError):
    """An agent did not do what was asked. `agent` names it."""

    def __init__(self, message: str, *, agent: str, hint: str | None = None) -> None:
        super().__init__(f"{agent}: {message}", hint=hint)
        self.agent = agent


class AgentUnreachable(AgentError):
    """No answer arrived. `sent` is False when the request certainly never reached the agent."""

    shown_by_doctor = True

    def __init__(self, message: str, *, agent: str, sent: bool, hint: str | None = None) -> None:
        super().__init__(message, agent=agent, hint=hint)
        self.sent = sent


class SshError(AgentUnreachable):
    """The user's ssh does not lead to the agent of another machine, or there is none there."""

    def __init__(self, message: str, *, agent: str, hint: str | None = None) -> None:
        super().__init__(message, agent=agent, sent=False, hint=hint)


class AgentRefused(AgentError):
    """The agent answered with an error status.

    `status` is the HTTP status, `code` the agent's machine-readable code where it gave one,
    `retry_after` the seconds that it asked to be left alone.
    """

    def __init__(
        self,
        message: str,
        *,
        agent: str,
        status: int,
        code: str | None = None,
        retry_after: float | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, agent=agent, hint=hint)
        self.status = status
        self.code = code
        self.retry_after = retry_after


class Unauthorized(AgentRefused):
    """The agent did not accept the token."""

    shown_by_doctor = True


class BadReply(AgentError):
    """The agent's reply can't be understood."""


class NotSupported(AgentError):
    """The agent doesn't have this endpoint."""


class LocalAgentError(HopxError):
    """The local agent could not be started on this machine."""

    shown_by_doctor = True


class ControlPlaneError(HopxError):
    """HopX's control plane did not do what was asked.

    `status` is the HTTP status of its answer, None when there was no answer or none that can be understood; `code` is
    its machine-readable code where it gave one.
    """

    def __init__(
        self, message: str, *, status: int | None = None, code: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code
        self.shown_by_doctor = status in (None, 401, 403)


class SandboxError(HopxError):
    """A HopX sandbox can't be used."""


class SandboxGone(SandboxError):
    """The sandbox was deleted, has expired, or never was."""


class SandboxNotReady(SandboxError):
    """The sandbox is still being created, or its agent is still starting."""


class NotYours(SandboxError):
    """The sandbox belongs to someone else."""


class CredentialsError(HopxError):
    """A file that may hold the API key can't be read. The message never shows what is in it."""


class InsecureConnection(HopxError):
    """The token would travel unencrypted to another machine."""


class CodeError(HopxError):
    """The code does not compile. It is shown as Python shows a SyntaxError, which is its `__cause__`."""

    def __init__(self, error: SyntaxError, *, hint: str | None = None) -> None:
        told = "".join(traceback.format_exception_only(error)).rstrip()
        super().__init__(told.replace('File "<cell>"', "Cell", 1), hint=hint)

    def _render_traceback_(self) -> list[str]:
        return str(self).splitlines()


class LaunchError(HopxError):
    """Nothing was launched, or nothing that can be found: `may_run` tells that it may run all the same."""

    def __init__(self, message: str, *, may_run: bool = False, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.may_run = may_run


class ValueRefused(LaunchError):
    """A variable of the notebook can't travel to the process that needs it, so nothing was launched."""


class UnknownProcess(HopxError):
    """No process, or more than one, has that id, prefix or name."""


class UnknownRun(HopxError):
    """No run in the history, or more than one, has that id, prefix or name."""


class HistoryError(HopxError):
    """The run history can't be read or written."""

    shown_by_doctor = True


class UnknownConnection(HopxError):
    """No connection has that name."""


class UnknownColumn(HopxError, ValueError):
    """A DataFrame has no such column, or none that a method of `df.hopx` needs."""


class WaitTimeout(HopxError):
    """The time to wait is over. The process goes on."""


class RunFailed(HopxError):
    """A run that was waited for did not complete."""


class ResultError(HopxError):
    """What a run has left can't be had: it isn't kept, or can't be loaded here."""


class WaitInterrupted(KeyboardInterrupt):
    """Ctrl-C ended the waiting. What was waited for goes on."""

    def _render_traceback_(self) -> list[str]:
        return str(self).splitlines()


class LaunchInterrupted(KeyboardInterrupt):
    """Ctrl-C ended the launching of a sweep. Its runs so far, `launched`, go on; the others were never sent."""

    def __init__(self, message: str, launched: "Sweep") -> None:
        super().__init__(message)
        self.launched = launched

    def _render_traceback_(self) -> list[str]:
        return str(self).splitlines()


class AgentWarning(UserWarning):
    """One of several agents does not do what was asked. The others do."""


class HistoryWarning(UserWarning):
    """The run history can't be written, or had to begin anew. Everything else goes on."""


class NameWarning(UserWarning):
    """A name means the newest of several runs, or some of those that have it can't be reached, or no run has it."""


def tell(text: str, category: type[Warning]) -> None:
    """Warns at the user's own line: each time, as what is true of one answer is no news of another."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _NOT_THE_USERS:
        frame = frame.f_back
    warnings.warn_explicit(text, category, frame.f_code.co_filename, frame.f_lineno, module=__name__)
