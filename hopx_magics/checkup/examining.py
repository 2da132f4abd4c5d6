"""Runs checks side by side: none of them can keep the others waiting, or end them."""

import threading
import time
from collections.abc import Callable, Iterable

import msgspec

from ..errors import HopxError
from ..findings import STATES, Check, Finding, not_checked
from ..output.oneline import printable

LIMIT = 10.0
"""Seconds after which checks that have not come to an end are left behind. All of them take less when all is well."""

LONGEST = 400
"""Characters of a text that are kept."""


class _Looking(threading.Thread):
    """One check under way; `findings` are those that there are so far."""

    def __init__(self, check: Check) -> None:
        super().__init__(name=f"hopx-doctor-{check.about}", daemon=True)
        self.check = check
        self.findings: list[Finding] = []
        self.has_ended = False

    def run(self) -> None:
        try:
            for finding in self.check.look():
                self.findings.append(finding)
        except Exception as error:  # what keeps a check from its end is something to be told, too
            why = error.message if isinstance(error, HopxError) else f"{type(error).__name__}: {error}"
            self.findings.append(not_checked(self.check.name, why))
        self.has_ended = True

    def found(self, limit: float) -> list[Finding]:
        """What was found, and that it may not be all."""
        findings = list(self.findings)
        if not self.has_ended:
            findings.append(not_checked(self.check.name, f"nothing came within {limit:g} s"))
        return findings


def examine(checks: Iterable[Check], hush: Callable[[str], str], limit: float = LIMIT) -> list[Finding]:
    """What all checks find within so many seconds, the worst first, in texts that `hush` has been through."""
    looking = [_Looking(check) for check in checks]
    for each in looking:
        each.start()
    deadline = time.monotonic() + limit
    for each in looking:
        each.join(max(0.0, deadline - time.monotonic()))
    found = [_told(each.check.about, finding, hush) for each in looking for finding in each.found(limit)]
    return sorted(found, key=lambda finding: STATES.index(finding.state))


def _told(about: str, finding: Finding, hush: Callable[[str], str]) -> Finding:
    """The finding as it can be shown to anybody."""

    def clean(text: str | None) -> str | None:
        return None if text is None else printable(hush(text), LONGEST)

    return msgspec.structs.replace(
        finding,
        about=clean(about),
        check=clean(finding.check),
        found=clean(finding.found),
        means=clean(finding.means),
        advice=clean(finding.advice),
    )
