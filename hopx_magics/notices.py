"""Notices: of what somebody is told, and where: on the desktop, or by any service that apprise has a URL for.

Such a URL has secrets in it. It is shown to nobody, but for its beginning.
"""

import contextlib
import logging
import os
import re
import shutil
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence

from .models import Notify
from .output.conditions import parse_bound
from .output.oneline import instead_of, printable

EVENTS = ("end", "failure")
"""Of what can be told besides bounds of metrics: that a run has ended, and that it has failed."""

DESKTOP = "desktop"
"""The place that is this machine's own desktop."""

VARIABLE = "HOPX_NOTIFY"
"""The variable of the environment that says where notices go."""

DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS")
"""The variables by which programs find the desktop."""

MOST_WORDS = 20
LONGEST_URL = 2_000

NO_APPRISE = "URLs for notices take apprise: pip install 'hopx_magics[notify]'"
USE_A_URL = "A URL of apprise tells you elsewhere: %config HopxMagics.notify = 'ntfy://TOPIC'"
NO_DESKTOP = f"no notice can be shown on the desktop of this machine: there is none, or no notify-send. {USE_A_URL}"

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30})://\S+")


def read_notify(wanted: bool | str | Sequence[str] | None, environ: Mapping[str, str] = os.environ) -> Notify | None:
    """What is wanted of notices: nothing, the usual, or words: `end`, `failure`, bounds of metrics, and places.

    Without a place among them they go where the environment says, or to the desktop. Raises ValueError.
    """
    if wanted is None or wanted is False:
        return None
    words = [] if wanted is True else [wanted] if isinstance(wanted, str) else list(wanted)
    if len(words) > MOST_WORDS:
        raise ValueError(f"notices take {MOST_WORDS} words at most")
    places = list(filter(is_place, words)) or places_in(environ.get(VARIABLE, "")) or [DESKTOP]
    when = [_event(word) for word in words if not is_place(word)] or ["end"]
    _check(places)
    return Notify(when=tuple(dict.fromkeys(when)), places=tuple(dict.fromkeys(places)))


class Places(str):
    """A text that names places, with spaces between, and that shows none of their secrets. Raises ValueError."""

    def __new__(cls, text: str) -> "Places":
        """Checks them."""
        return super().__new__(cls, " ".join(places_in(text)))

    def __repr__(self) -> str:
        return repr(" ".join(map(masked, self.split())))


def is_place(word: str) -> bool:
    """Whether a word says where notices go."""
    return word == DESKTOP or "://" in word


def places_in(text: str) -> list[str]:
    """The places that a text names, with spaces between. Raises ValueError for another word, which it does not show."""
    for word in (words := text.split()):
        check_place(word)
    return words


def check_place(word: str) -> None:
    """Raises ValueError, which does not show it, for what can't be a place."""
    if not (word == DESKTOP or (_URL.fullmatch(word) and len(word) <= LONGEST_URL)):
        raise ValueError(f"{masked(word)!r} is no place for notices: use {DESKTOP}, or a URL such as ntfy://TOPIC")


def _event(word: str) -> str:
    if word in EVENTS:
        return word
    try:
        return parse_bound(word).text
    except ValueError:
        known = instead_of(word, [*EVENTS, DESKTOP, "a bound such as 'loss>10'", "a URL such as ntfy://TOPIC"])
        raise ValueError(f"{masked(word)!r} says of nothing when or where to tell it: {known}") from None


def masked(place: str) -> str:
    """A place as it may be shown: of a URL only how it begins."""
    head, colon, _ = place.partition(":")
    if not colon:
        return printable(place, 40)
    return f"{printable(head, 30)}{'://' if '://' in place else ':'}…"


def has_desktop(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether notices can be shown on a desktop of this machine."""
    if sys.platform == "darwin":
        return shutil.which("osascript") is not None
    return shutil.which("notify-send") is not None and any(environ.get(name) for name in DISPLAYS)


def desktop_command(title: str, body: str) -> list[str]:
    """The program that shows a notice on the desktop, in which other people's text is no markup."""
    if sys.platform == "darwin":
        script = "on run argv\ndisplay notification (item 2 of argv) with title (item 1 of argv)\nend run"
        return ["osascript", "-e", script, title, body]
    plain = body.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return ["notify-send", "--app-name=hopx_magics", "--", title, plain]


# ---------------------------------------------------------------- apprise


def _check(places: Iterable[str]) -> None:
    """Raises ValueError for a URL by which nothing can be told."""
    for url in places:
        check_place(url)
        if url == DESKTOP:
            continue
        with _quietly():
            try:
                from apprise import Apprise
            except ImportError:
                raise ValueError(NO_APPRISE) from None
            if Apprise.instantiate(url, suppress_exceptions=True) is None:
                raise ValueError(f"{masked(url)} is no URL that apprise can use: see https://github.com/caronc/apprise")


def send(url: str, title: str, body: str, kind: str) -> str | None:
    """Tells it by a URL of apprise, as info, success or failure; why that did not arrive, or None when it did."""
    with _quietly() as told:
        try:
            from apprise import Apprise
        except ImportError:
            return NO_APPRISE
        service = Apprise.instantiate(url, suppress_exceptions=True)
        if service is None:
            return "apprise can't use its URL"
        center = Apprise()
        center.add(service)
        title, body = (title, body) if body else ("", title)  # without a body it sends nothing
        if center.notify(body, title, notify_type=kind, body_format="text"):
            return None
    return _reason(told)


def _reason(told: Sequence[str]) -> str:
    """What apprise has logged, without what it may have of the URL."""
    for line in told:
        if found := re.search(r"error[=:] ?([1-5][0-9]{2})\b", line):
            return f"status {found[1]}"
    if any(re.search("connection|timeout|timed out|socket", line, re.IGNORECASE) for line in told):
        return "there is no connection"
    return "it was not accepted"


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextlib.contextmanager
def _quietly() -> Iterator[list[str]]:
    """What apprise logs meanwhile, which reaches nobody else: it has URLs in it. What it imports warns nobody."""
    logger, collector = logging.getLogger("apprise"), _Collector()
    before = logger.propagate, logger.handlers
    logger.propagate, logger.handlers = False, [collector]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield collector.lines
    finally:
        logger.propagate, logger.handlers = before
