"""Where text ends and a terminal's control sequences begin, also when they come in pieces."""

import re
from collections.abc import Iterator

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
"""Any control character but a line's end."""

LONGEST = 128
"""Characters of a sequence beyond which it is none that anybody means: it is dropped."""

_TOKEN = re.compile(
    r"""
    (?P<text>[^\x00-\x09\x0b-\x1f\x7f-\x9f]+)
    | (?P<sgr>\x1b\[[0-9;:]*m)
    | (?P<csi>(?:\x1b\[|\x9b)[\x30-\x3f]*[\x20-\x2f]*[\x40-\x7e])
    | (?P<unfinished>(?:\x1b\[|\x9b)[\x30-\x3f]*[\x20-\x2f]*)
    | (?P<device>(?:\x1bP|\x90)[^\x07\x18\x1a\x1b\x9c]*)  # DCS: pictures, which may have several lines
    | (?P<string>(?:\x1b[\]X^_]|[\x98\x9d-\x9f])[^\n\x07\x18\x1a\x1b\x9c]*)  # OSC and its like: titles, links, ...
    | (?P<escape>\x1b[\x20-\x2f]*[\x30-\x7e])
    | (?P<begun>\x1b[\x20-\x2f]*)
    | (?P<control>[\x00-\x1f\x7f-\x9f])
    """,
    re.VERBOSE,
)
_REST = {
    "device": re.compile(r"[^\x07\x18\x1a\x1b\x9c]*"),
    "string": re.compile(r"[^\n\x07\x18\x1a\x1b\x9c]*"),
    "unfinished": re.compile(r"[\x20-\x3f]*(?P<final>[\x40-\x7e])?"),
    "begun": re.compile(r"[\x20-\x2f]*(?P<final>[\x30-\x7e])?"),
}


class Splitter:
    """Cuts text that arrives in pieces into tokens: (kind, characters).

    Kinds: "text" (line ends within it), "control" (one character), "sgr" (colours and styles), "csi" (other sequences
    that end with a letter) and "escape" (other short ones). What has no effect on what is shown (titles, links,
    pictures, queries) does not come out at all, and neither does what is broken or too long.

    A sequence that is cut between two pieces waits for the rest. A title or link that never ends costs the rest of its
    line, not the rest of the log. No more than `LONGEST` characters are ever kept.
    """

    def __init__(self) -> None:
        self._held = ""
        self._inside: str | None = None  # the kind of sequence whose rest is being dropped

    def split(self, text: str) -> Iterator[tuple[str, str]]:
        """The tokens of what has come so far, but for the held end."""
        if not self._held and self._inside is None and not CONTROL.search(text):
            if text:
                yield "text", text
            return
        text, self._held = self._held + text, ""
        for token in _TOKEN.finditer(text, self._after_rest(text)):
            kind, chars = str(token.lastgroup), token[0]
            if kind in ("text", "control"):
                yield kind, chars
            elif kind in _REST:
                if token.end() == len(text):
                    self._wait(kind, chars)
            elif len(chars) <= LONGEST:
                yield kind, chars

    def _wait(self, kind: str, chars: str) -> None:
        if kind in ("unfinished", "begun") and len(chars) <= LONGEST:
            self._held = chars
        else:
            self._inside = kind

    def _after_rest(self, text: str) -> int:
        """Where the sequence that is being dropped ends."""
        if self._inside is None:
            return 0
        rest = _REST[self._inside].match(text)
        end = rest.end() if rest else 0
        if end < len(text) or (rest and rest.lastgroup):
            self._inside = None
        return end


class StreamFilter:
    """Makes text that arrives in pieces safe to write to a terminal or a notebook's output as it comes.

    Line ends, carriage returns, backspaces, tabs and colours pass; so do sequences that erase a line or move up and
    down in it, as nested progress bars use them. A sequence that is cut between two pieces waits for the rest.
    """

    _CONTROLS = frozenset("\r\b\t")
    _MOVEMENTS = re.compile(r"\x1b\[[0-9;]*[ABK]")

    def __init__(self) -> None:
        self._tokens = Splitter()

    def feed(self, text: str) -> str:
        """The part of what has come so far that can be written now."""
        return "".join(chars for kind, chars in self._tokens.split(text) if self._passes(kind, chars))

    def _passes(self, kind: str, chars: str) -> bool:
        if kind == "control":
            return chars in self._CONTROLS
        return kind in ("text", "sgr") or (kind == "csi" and self._MOVEMENTS.fullmatch(chars) is not None)
