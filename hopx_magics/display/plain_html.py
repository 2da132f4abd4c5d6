"""HTML that is nothing but text in tables, lists and paragraphs, written anew: what a DataFrame shows of itself.

Of what comes in only texts go out, escaped, within elements that this file writes itself; all else is no plain HTML.
"""

import html
import re
from html.parser import HTMLParser

_TABLES = ("table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td")
_HEADLINES = ("h1", "h2", "h3", "h4", "h5", "h6")
_TEXTS = ("p", "br", "hr", "ul", "ol", "li", "b", "i", "em", "strong", "code", "pre", "blockquote", *_HEADLINES)
_KEPT = frozenset({*_TABLES, *_TEXTS})
_DROPPED = frozenset({"div", "span"})
"""Elements whose text alone is kept."""

_KNOWN = _KEPT | _DROPPED | {"a"}
_SPANS = ("colspan", "rowspan")
_LINK = re.compile(r"https?://[!-~]+", re.IGNORECASE)
_VOID = frozenset({"br", "hr"})
_CLASS = {"table": ' class="dataframe" border="1"'}
_LONGEST = 1_000_000
"""Characters beyond which nobody looks whether it is plain."""


def plain_html(text: str) -> str | None:
    """The same content as HTML that does nothing; None where it isn't plain."""
    if len(text) > _LONGEST:
        return None
    reader = _Reader()
    try:
        reader.feed(text)
        reader.close()
    except AssertionError:  # by which Python's own parser refuses some declarations
        return None
    if reader.is_plain and not reader.open:
        return "".join(reader.written)
    return None


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.written: list[str] = []
        self.open: list[str] = []
        self.links: list[bool] = []
        self.is_plain = True

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        is_pandas_own = tag == "style" and ("scoped", None) in attrs  # which aligns, as the page does by itself
        if tag not in _KNOWN and not is_pandas_own:
            self.is_plain = False
        if tag not in _VOID:
            self.open.append(tag)
        if tag in _KEPT:
            spans = "".join(f' {name}="{value}"' for name, value in attrs if name in _SPANS and _is_number(value))
            self.written.append(f"<{tag}{_CLASS.get(tag, '')}{spans}>")
        if tag == "a":
            self._open_link(dict(attrs).get("href") or "")

    def _open_link(self, address: str) -> None:
        """Writes a link to a page of the web; of any other the text is what is left."""
        self.links.append(_LINK.fullmatch(address) is not None)
        if self.links[-1]:
            self.written.append(f'<a href="{html.escape(address)}" target="_blank" rel="noopener noreferrer">')

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.is_plain = False
        if tag in _KEPT:
            self.written.append(f"</{tag}>")
        if tag == "a" and self.links and self.links.pop():
            self.written.append("</a>")

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.written.append(html.escape(data))

    def unknown_decl(self, data: str) -> None:
        self.is_plain = False


def _is_number(value: str | None) -> bool:
    return value is not None and value.isascii() and value.isdecimal() and len(value) < 5
