"""Runs for pages of runs, what is read in such a page, and that nothing in it acts."""

import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

from hopx_magics.display.document import Document
from hopx_magics.kept import KeptOutput, KeptRun
from hopx_magics.models import ProcessId, RunId

NOW = datetime(2025, 11, 24, 19, 30, tzinfo=UTC)

CODE = """import math

def area(radius):  # of a circle
    return f"{math.pi * radius ** 2}"
"""


def kept_run(**fields: object) -> KeptRun:
    """A run that failed an hour ago, with these fields instead."""
    made: dict[str, object] = {
        "run_id": RunId("run_1"), "process_id": ProcessId("proc_1"), "execution_id": None, "connection": "local",
        "agent": "here", "sandbox": None, "name": "train", "tags": {}, "params": {}, "sweep_id": None,
        "rerun_of": None, "language": "python", "code": CODE, "workdir": "/work", "timeout": None, "env_names": (),
        "notebook": None, "cell": None, "version": "1.2", "launched_here": True,
        "launched_at": NOW - timedelta(hours=1, seconds=12), "started_at": NOW - timedelta(hours=1),
        "completed_at": NOW - timedelta(minutes=57), "seen_at": NOW - timedelta(minutes=3), "status": "failed",
        "status_detail": None, "exit_code": 1, "execution_time": 180.0, "pid": None, "stdout_bytes": None,
        "stderr_bytes": None,
    }  # fmt: skip
    return KeptRun(**made | fields)  # type: ignore[arg-type]


def kept_output(text: str) -> KeptOutput:
    """A stream of which everything is kept."""
    written = text.encode("utf-8", "surrogateescape")
    return KeptOutput(head=written, tail=b"", size=len(written))


def page_of(shown: Document) -> str:
    return shown._repr_mimebundle_()["text/html"]


def text_in(page: str, tag: str) -> list[str]:
    """What is read in each of the elements of one kind."""
    found = re.findall(rf"<{tag}[ >].*?</{tag}>", page, re.DOTALL)
    return [html.unescape(re.sub(r"<[^>]*>", "", element)) for element in found]


def without_colours(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


HOSTILE = "</pre></td><script>alert(1)</script>\x1b]0;title\x07\x00\u202e\u2066rtl \x9b31m\u2028\ud800 &amp; \x7f\r'\""

SHOWN_TAGS = frozenset(["div", "span", "b", "table", "tbody", "tr", "th", "td", "thead", "details", "summary", "pre"])


class Tags(HTMLParser):
    """Which elements a page has, whether they are closed in order, and what they let happen."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.seen.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def hostile_fields() -> Iterator[tuple[str, object]]:
    yield from dict.fromkeys(("name", "execution_id", "connection", "sandbox", "sweep_id", "rerun_of"), HOSTILE).items()
    yield from dict.fromkeys(("workdir", "notebook", "cell", "version", "status_detail", "code"), HOSTILE).items()
    yield from (("tags", {HOSTILE: HOSTILE}), ("params", {HOSTILE: [HOSTILE]}), ("env_names", (HOSTILE,)))
    yield from (("run_id", HOSTILE), ("process_id", HOSTILE))


def check_that_nothing_acts(shown: Document) -> None:
    """Whatever a run holds: a page has only elements of ours, and no text steers a terminal or can't be encoded."""
    tags = Tags(page_of(shown))
    assert tags.open == []
    assert tags.seen <= SHOWN_TAGS
    assert tags.attributes <= {"style", "class", "open", "scope"}
    for text in (str(shown), without_colours(shown.as_terminal()), page_of(shown)):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\ud800-\udfff]", text)
        assert text.encode()
