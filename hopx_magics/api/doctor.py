"""What is wrong here, if anything, and what to do about it."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checkup.checks import checks_of_program, checks_of_session, checks_of_target, known_secrets
from ..checkup.examining import examine
from ..checkup.hushing import hushing
from ..checkup.page import Front
from ..errors import HopxError
from ..findings import Check, Finding
from ..session.session import Session, session

if TYPE_CHECKING:
    import pandas as pd


def doctor(connection: str | None = None, *, fix: bool = False) -> "pd.DataFrame":
    """Looks for what is wrong, the worst first: `state`, what it is `about`, `check`, `found`, `means`, `advice`.

    All of it: this program, its page and environment, the history, the local agent, all connections, and the way to
    HopX; or one connection alone, or the way to an address (`ssh://HOST`, a URL), whether or not something is connected
    to it. The state is `broken`, `attention`, `not checked` or `ok`. Nothing is changed, and no agent is started. With
    `fix`, what can safely be made good is, and everything is looked at again: see `%hopx_doctor`. There are no tokens,
    keys, passwords or values of other secrets in it.

    Raises UnknownConnection, ValueError for what is no address, InsecureConnection.
    """
    from ..display.diagnosis import findings_frame

    _, findings = diagnose(connection, fix=fix)
    return findings_frame(findings)


def diagnose(connection: str | None = None, *, fix: bool = False) -> tuple[list[str], list[Finding]]:
    """What was made good, and what is found then: see `doctor`."""
    findings = _examined(connection)
    remedied = [_remedied(finding) for finding in findings if finding.remedy] if fix else []
    if remedied:
        return remedied, _examined(connection)
    return ["nothing: nothing is found that can safely be made good"] if fix else [], findings


def _remedied(finding: Finding) -> str:
    assert finding.remedy is not None
    try:
        return hushing(os.environ, Path.home())(finding.remedy())
    except (HopxError, OSError) as error:
        return hushing(os.environ, Path.home())(f"{finding.about}, {finding.check}: could not be made good: {error}")


def _examined(connection: str | None) -> list[Finding]:
    try:
        mine: Session | None = session()
    except ValueError:  # of the settings, which is one of the findings
        mine = None
    return examine(_checks(mine, connection), hushing(os.environ, Path.home(), known_secrets(mine) if mine else ()))


def _checks(mine: Session | None, connection: str | None) -> Iterable[Check]:
    if connection is not None and mine is not None:
        return checks_of_target(mine, connection)
    from .lines import mender

    return [*checks_of_program(_front(), mender), *(checks_of_session(mine) if mine else [])]


def _front() -> Front:
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython else None
    if shell is None:
        return "program"
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return "terminal"
    asked = (kernel.get_parent("shell") or {}).get("content", {})
    return "page" if asked.get("allow_stdin", True) else "job"
