"""What a doctor has found, as a page and as a DataFrame."""

import html
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from ..findings import STATES, Finding, State
from ..output.style import PLAIN, Style, sgr
from . import arrays
from .coloured import Line, Part, visible
from .document import Document

if TYPE_CHECKING:
    import pandas as pd

_SIGNS: dict[State, str] = {"broken": "✗", "attention": "!", "not checked": "?", "ok": "✓"}

_STYLES: dict[State, Style] = {
    "broken": Style(fg=1, bold=True),
    "attention": Style(fg=3, bold=True),
    "not checked": Style(dim=True),
    "ok": Style(fg=2),
}

_COLOURS: dict[State, str] = {
    "broken": "var(--jp-error-color1,#d84343)",
    "attention": "#96751a",
    "not checked": "inherit",
    "ok": "var(--jp-success-color1,#2b8a3e)",
}

_WEAK = Style(dim=True)
_CELL = "text-align:left;vertical-align:top;padding:3px 18px 3px 0;white-space:normal;overflow-wrap:anywhere"
_COLUMNS = {"state": "7em", "check": "16em", "found": "20em"}
"""The columns of the page, and how wide they are at least."""

_LINE = "border-top:1px solid var(--jp-border-color2,rgba(128,128,128,.35))"
_SMALL = "font-size:var(--jp-ui-font-size1,13px)"


class Diagnosis(Document):
    """What was made good, and what is found, the worst first. It can be pasted into an issue."""

    def __init__(self, remedied: Sequence[str], findings: Sequence[Finding]) -> None:
        super().__init__(())
        self._remedied = remedied
        self._findings = findings
        self._at = datetime.now()

    def as_terminal(self) -> str:
        """The text with the colours of a terminal."""
        return self._text(_painted)

    def __repr__(self) -> str:
        return self._text(lambda part: part.text)

    def _text(self, paint: Callable[[Part], str]) -> str:
        return "\n".join("".join(map(paint, line)).rstrip() for line in self._lines())

    def _lines(self) -> Iterator[Line]:
        for remedy in self._remedied:
            yield [Part(visible(f"done: {remedy}"))]
        yield [Part(self._in_short())]
        width = max((len(_name(finding)) for finding in self._findings), default=0) + 2
        for finding in self._findings:
            yield [
                Part(f"{_SIGNS[finding.state]} {finding.state.ljust(12)}", _STYLES[finding.state]),
                Part(visible(_name(finding)).ljust(width)),
                Part(visible(finding.found)),
            ]
            margin = " " * 14
            if finding.means:
                yield [Part(f"{margin}{visible(finding.means)}", _WEAK)]
            if finding.advice:
                yield [Part(f"{margin}→ {visible(finding.advice)}")]

    def _in_short(self) -> str:
        counts = Counter(finding.state for finding in self._findings)
        told = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
        return f"{self._at:%Y-%m-%d %H:%M:%S}: {told or 'nothing was looked at'}"

    def _as_html(self) -> str:
        done = "".join(f"<div>done: {_escaped(remedy)}</div>" for remedy in self._remedied)
        head = "".join(
            f'<th scope="col" style="{_CELL};opacity:.75;min-width:{width}">{name}</th>'
            for name, width in _COLUMNS.items()
        )
        rows = "".join(map(_row, self._findings))
        table = (
            f'<table style="margin:0;border:0;border-collapse:collapse;{_SMALL}">'
            f'<thead style="border:0"><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
        )
        in_short = f'<div style="margin:4px 0">{self._in_short()}</div>'
        return f'<div class="hopx-document" style="max-width:72em">{done}{in_short}{table}</div>'


def _name(finding: Finding) -> str:
    return f"{finding.about}: {finding.check}"


def _painted(part: Part) -> str:
    begin = sgr(part.look if isinstance(part.look, Style) else PLAIN)
    return f"{begin}{part.text}\x1b[0m" if begin and part.text else part.text


def _row(finding: Finding) -> str:
    state = (
        f'<span style="color:{_COLOURS[finding.state]};font-weight:600;white-space:nowrap">'
        f"{_SIGNS[finding.state]} {finding.state}</span>"
    )
    means = f'<div style="opacity:.75">{_escaped(finding.means)}</div>' if finding.means else ""
    advice = f"<div>→ {_escaped(finding.advice)}</div>" if finding.advice else ""
    cells = (state, _escaped(_name(finding)), f"{_escaped(finding.found)}{means}{advice}")
    return (
        '<tr style="background:none">' + "".join(f'<td style="{_CELL};{_LINE}">{cell}</td>' for cell in cells) + "</tr>"
    )


def _escaped(text: str) -> str:
    return html.escape(visible(text))


def findings_frame(findings: Sequence[Finding]) -> "pd.DataFrame":
    """One row a finding: `state` (in the order of how bad it is), `about`, `check`, `found`, `means` and `advice`."""
    import pandas as pd

    columns = ("about", "check", "found", "means", "advice")
    states = pd.Categorical([finding.state for finding in findings], categories=list(STATES), ordered=True)
    texts = {name: arrays.texts([getattr(finding, name) for finding in findings]) for name in columns}
    return pd.DataFrame({"state": states, **texts})
