"""The arguments of each magic. What they mean stands in the magics' docstrings, which are the help pages."""

from argparse import BooleanOptionalAction
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ..durations import parse_duration, parse_limit
from ..live.columns import COLUMN_NAMES, TABLE_GROUPS
from ..words import CAPTURES, LANGUAGES, OFFERED_COLUMNS, OUTPUT_CHOICES, STATUSES
from .line import MagicParser, assignment, checked, identifier, text_of, whole_number, words_of, written

if TYPE_CHECKING:
    from ..params import Written

CONNECTIONS = ("(connections)",)
"""Stands for the names of the connections, which are known only when Tab is pressed."""

NAMES = ("(names)",)
"""Stands for the names of runs."""

FILES = ("(files)",)
"""Stands for the names of files, which IPython itself knows."""

NOTIFY = ("end", "failure", "desktop")
"""What Tab offers of notices."""

_Argument = Callable[[Any], None]
"""Adds itself to a parser, or to a group of one."""


def _argument(*names: str, completions: Iterable[str] = (), **how: Any) -> _Argument:
    """An argument, with the values that Tab offers for it: a text, if nothing else is said."""
    if "action" not in how:
        how.setdefault("type", text_of)

    def add(parser: Any) -> None:
        parser.add_argument(*names, **how).completions = tuple(completions)

    return add


def _flag(*names: str) -> _Argument:
    return _argument(*names, action="store_true")


def _checked(*names: str, by: Callable[[str], Any], **how: Any) -> _Argument:
    """An argument whose value is what `by` makes of it."""
    return _argument(*names, type=checked(by), **how)


def _repeated(name: str, by: Callable[[str], Any]) -> _Argument:
    """An option that can be given several times."""
    return _checked(name, by=by, action="append", default=[])


def _values(name: str, by: "Callable[[Written], Any]") -> _Argument:
    """An option that can be given several times, and whose values stay what they are."""
    return _argument(name, type=checked(by, written), action="append", default=[])


def _runs(name: str, metavar: str, **how: Any) -> _Argument:
    """Words that stand for runs: what is in them shows whether they are variables."""
    return _argument(name, metavar=metavar, type=lambda word: word, **how)


def _former(name: str) -> _Argument:
    """An option that names runs, or variables with runs, also several of them in one word, with commas between."""
    return _argument(name, metavar="RUN", action="append", default=[], type=lambda word: word, completions=NAMES)


def _words(name: str, completions: Iterable[str]) -> _Argument:
    """An option with several words, that can be given several times, too."""
    return _argument(name, action="extend", type=checked(words_of), default=[], completions=completions)


def _one_of(*arguments: _Argument) -> _Argument:
    """Options of which no more than one can be given."""

    def add(parser: Any) -> None:
        group = parser.add_mutually_exclusive_group()
        for argument in arguments:
            argument(group)

    return add


def _limit(text: str) -> str:
    parse_limit(text)
    return text


def _amount(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number") from None


def _slots(text: str) -> int:
    """How many may run at once, 0 for as many as usual, which is said by `none`."""
    if text.strip().lower() == "none":
        return 0
    count = whole_number(text)
    if count == 0:
        raise ValueError("0 can't be: %hopx_pause --queue lets nothing new start, and none stands for as many as usual")
    return count


def _bound(text: str) -> str:
    from ..output.conditions import parse_bound

    return parse_bound(text).text


def _param(written: "Written") -> tuple[str, Any]:
    from ..params import parse_assignment

    return parse_assignment(written)


def _sweep(written: "Written") -> tuple[str, list[Any]]:
    from ..params import parse_sweep

    return parse_sweep(written)


_REFERENCES = _runs("reference", "ID", nargs="*")
_RUN = _runs("reference", "RUN")
_CONNECTION = _argument("name", metavar="NAME")
_NAME = _argument("--name", completions=NAMES)
_LANGUAGE = _argument("--lang", dest="language", completions=LANGUAGES)
_STATUS = _words("--status", STATUSES)
_TAGS = _repeated("--tag", assignment)
_SINCE = _checked("--since", by=parse_duration)
_LIMIT = _checked("--limit", by=whole_number)
_TIMEOUT = _checked("--timeout", by=parse_duration)
_PARAMS = _values("--param", _param)
_ENV = _repeated("--env", assignment)
_ON = _argument("--on", metavar="CONNECTION", completions=CONNECTIONS)
_ON_SEVERAL = _words("--on", CONNECTIONS)
_NO_RAISE = _flag("--no-raise")
_INTO = _checked("-o", by=identifier)
_QUIET = _flag("-q", "--quiet")


def _filters(columns: Iterable[str], groups: Iterable[str]) -> list[_Argument]:
    sort = _argument("--sort", completions=(*columns, *(f"-{word}" for word in columns)))
    return [_REFERENCES, _STATUS, _LANGUAGE, _NAME, _SINCE, sort, _LIMIT, _argument("--by", completions=groups)]


_ARGUMENTS: dict[str, list[_Argument]] = {
    "%%hopx_bg": [
        _NAME,
        _argument("--lang", dest="language", default="python", completions=LANGUAGES),
        _checked("--timeout", by=_limit, completions=("none",)),
        _ENV,
        _argument("--cwd", completions=FILES),
        _PARAMS,
        _values("--sweep", _sweep),
        _LIMIT,
        _flag("--first"),
        _former("--after"),
        _former("--after-any"),
        _checked("--gpus", by=_amount),
        _checked("--cpus", by=_amount),
        _argument("--memory"),
        _repeated("--stop-when", _bound),
        _argument("--keep-best", nargs="+", metavar=("N", "min|max METRIC"), completions=("min", "max")),
        _argument("--notify", nargs="*", action="extend", type=text_of, metavar="WHAT", completions=NOTIFY),
        _checked("--retry", by=whole_number),
        _checked("--retry-delay", by=parse_duration),
        _checked("--per", by=whole_number),
        _flag("--yes"),
        _argument("--in", dest="values", default="auto", completions=("auto", "none")),
        _argument("--out", action="extend", type=words_of, default=[]),
        _argument("--fork", action=BooleanOptionalAction),
        _checked("--threads", by=whole_number),
        _TAGS,
        _ON_SEVERAL,
        _argument("--callback"),
        _repeated("--callback-header", assignment),
        _argument("--callback-secret-env"),
        _argument("--capture", default="auto", completions=CAPTURES),
        _flag("--kill-leftovers"),
        _INTO,
        _QUIET,
    ],
    "%hopx_pull": [_RUN, _argument("names", nargs="*", metavar="NAME"), _flag("--trust"), _ON],
    "%hopx_ps": [
        *_filters(OFFERED_COLUMNS, OFFERED_COLUMNS),
        _argument("--output", completions=OUTPUT_CHOICES),
        _flag("--watch"),
        _ON_SEVERAL,
    ],
    "%hopx_watch": [
        *_filters(COLUMN_NAMES, TABLE_GROUPS),
        _argument("--columns", completions=COLUMN_NAMES),
        _argument("--best", nargs=2, metavar=("min|max", "METRIC"), completions=("min", "max")),
        _checked("--interval", by=parse_duration),
        _flag("--notify"),
        _ON_SEVERAL,
    ],
    "%hopx_history": [
        *(_NAME, _TAGS, _STATUS, _LANGUAGE, _SINCE, _argument("--sweep"), _LIMIT),
        *map(_flag, ("--code", "--output", "--prune", "--yes")),
    ],
    "%hopx_grep": [
        _argument("pattern", metavar="PATTERN"),
        _flag("-i", "--ignore-case"),
        *(_NAME, _TAGS, _STATUS, _LANGUAGE, _SINCE, _argument("--sweep"), _LIMIT),
    ],
    "%hopx_show": [_RUN],
    "%hopx_rerun": [
        _RUN,
        _PARAMS,
        _ENV,
        _argument("--in", dest="values", completions=("auto", "none")),
        _one_of(_flag("--here"), _ON, _flag("--failed")),
        _INTO,
        _QUIET,
    ],
    "%hopx_diff": [_runs("one", "RUN"), _runs("other", "ANOTHER_RUN")],
    "%hopx_attach": [_RUN, _ON, _INTO],
    "%hopx_logs": [
        _runs("reference", "ID"),
        _one_of(_flag("--stderr"), _flag("--both")),
        _checked("--tail", by=whole_number),
        _flag("-f", "--follow"),
        _ON,
    ],
    "%hopx_wait": [_REFERENCES, _one_of(_flag("--any"), _flag("--all")), _TIMEOUT, _NO_RAISE, _ON_SEVERAL],
    "%hopx_kill": [_REFERENCES, _STATUS, _flag("--all"), _ON_SEVERAL],
    "%hopx_pause": [_REFERENCES, _flag("--queue"), _ON_SEVERAL],
    "%hopx_resume": [_REFERENCES, _flag("--queue"), _ON_SEVERAL],
    "%hopx_queue": [
        _runs("reference", "SWEEP", nargs="?"),
        _checked("--limit", by=_slots, completions=("none",)),
        _checked("--slots", by=_slots, completions=("none",)),
        _ON_SEVERAL,
    ],
    "%hopx_connect": [
        _argument("target", nargs="?"),
        _argument("address", nargs="?"),
        _argument("--as"),
        _argument("--token-env"),
        _flag("--resume"),
        _argument("--forget"),
        _argument("--python"),
        _argument("--setup"),
        _flag("--install"),
        _flag("--sync"),
        _flag("--trust"),
        _flag("--no-trust"),
        _flag("--insecure"),
        _argument("--pip", action="append"),
        _argument("--env-file"),
        _argument("--new", nargs="?", const="code-interpreter", completions=("code-interpreter", "base")),
        _checked("-n", by=whole_number),
        _TIMEOUT,
        _ENV,
        _argument("--region"),
    ],
    "%hopx_doctor": [_argument("connection", nargs="?", metavar="CONNECTION"), _flag("--fix")],
    "%hopx_disconnect": [_CONNECTION, _flag("--delete")],
    "%hopx_sandboxes": [],
    "%hopx_extend": [_CONNECTION, _checked("time", by=parse_duration, metavar="TIME")],
    "%hopx_sh": [_ON, _TIMEOUT, _NO_RAISE],
    "%hopx_put": [_argument("path", nargs="+", metavar="PATH"), _ON],
    "%hopx_get": [_argument("remote", metavar="REMOTE"), _argument("local", nargs="?", metavar="LOCAL"), _ON],
    "%hopx_ls": [_argument("path", nargs="?", metavar="PATH"), _ON],
}


def _parser(magic: str) -> MagicParser:
    parser = MagicParser(magic)
    for argument in _ARGUMENTS[magic]:
        argument(parser)
    return parser


PARSERS = {magic.lstrip("%"): _parser(magic) for magic in _ARGUMENTS}

TAKE_REFERENCES = (
    "hopx_ps",
    "hopx_watch",
    "hopx_logs",
    "hopx_wait",
    "hopx_kill",
    "hopx_pause",
    "hopx_resume",
    "hopx_queue",
)
"""The magics whose arguments are ids and names of processes."""

TAKE_CONNECTIONS = ("hopx_connect", "hopx_disconnect", "hopx_doctor", "hopx_extend")
"""The magics whose first argument is a connection."""

TAKE_RUNS = ("hopx_show", "hopx_rerun", "hopx_diff", "hopx_attach")
"""The magics whose arguments are ids and names of runs in the history."""

TAKE_FILES = ("hopx_sh", "hopx_put", "hopx_get", "hopx_ls")
"""The magics whose arguments are paths, or a command."""
