"""The arguments of each magic. What they mean stands in the magics' docstrings, which are the help pages."""

from collections.abc import Iterable
from typing import Any

from ..live.columns import COLUMN_NAMES, TABLE_GROUPS
from ..words import CAPTURES, LANGUAGES, OFFERED_COLUMNS, OUTPUT_CHOICES, STATUSES
from .arguments import MagicParser, assignment, checked, identifier, whole_number, words_of

CONNECTIONS = ("(connections)",)
"""Stands for the names of the connections, which are known only when Tab is pressed."""


def _option(parser: MagicParser, *names: str, completions: Iterable[str] = (), **how: Any) -> None:
    """An option, with the values that Tab offers for it."""
    action: Any = parser.add_argument(*names, **how)
    action.completions = tuple(completions)


def _references(parser: MagicParser) -> None:
    parser.add_argument("reference", nargs="*", metavar="ID")


def _connection(parser: MagicParser) -> None:
    _option(parser, "--on", metavar="CONNECTION", completions=CONNECTIONS)


def _connections(parser: MagicParser) -> None:
    _option(parser, "--on", action="append", type=words_of, default=[], completions=CONNECTIONS)


def _status(parser: MagicParser) -> None:
    _option(parser, "--status", action="append", type=words_of, default=[], completions=STATUSES)


def _tags(parser: MagicParser) -> None:
    _option(parser, "--tag", action="append", type=checked(assignment), default=[])


def _bg() -> MagicParser:
    parser = MagicParser("%%hopx_bg")
    _option(parser, "--name")
    _option(parser, "--lang", default="python", completions=LANGUAGES)
    _option(parser, "--timeout", type=checked(_limit), completions=("none",))
    _option(parser, "--env", action="append", type=checked(assignment), default=[])
    _option(parser, "--cwd")
    _option(parser, "--param", action="append", type=checked(_param), default=[])
    _option(parser, "--sweep", action="append", type=checked(_sweep), default=[])
    _option(parser, "--limit", type=checked(whole_number))
    _option(parser, "--per", type=checked(whole_number))
    _tags(parser)
    _connections(parser)
    _option(parser, "--callback")
    _option(parser, "--callback-header", action="append", type=checked(assignment), default=[])
    _option(parser, "--callback-secret-env")
    _option(parser, "--capture", default="auto", completions=CAPTURES)
    _option(parser, "-o", type=checked(identifier))
    _option(parser, "-q", "--quiet", action="store_true")
    return parser


def _filters(parser: MagicParser, columns: Iterable[str], groups: Iterable[str]) -> None:
    _references(parser)
    _status(parser)
    _option(parser, "--lang", completions=LANGUAGES)
    _option(parser, "--name")
    _option(parser, "--since", type=checked(_duration))
    _option(parser, "--sort", completions=(*columns, *(f"-{word}" for word in columns)))
    _option(parser, "--limit", type=checked(whole_number))
    _option(parser, "--by", completions=groups)


def _ps() -> MagicParser:
    parser = MagicParser("%hopx_ps")
    _filters(parser, OFFERED_COLUMNS, OFFERED_COLUMNS)
    _option(parser, "--output", completions=OUTPUT_CHOICES)
    _option(parser, "--watch", action="store_true")
    _connections(parser)
    return parser


def _watch() -> MagicParser:
    parser = MagicParser("%hopx_watch")
    _filters(parser, COLUMN_NAMES, TABLE_GROUPS)
    _option(parser, "--interval", type=checked(_duration))
    _option(parser, "--notify", action="store_true")
    _connections(parser)
    return parser


def _history() -> MagicParser:
    parser = MagicParser("%hopx_history")
    _option(parser, "--name")
    _tags(parser)
    _status(parser)
    _option(parser, "--lang", completions=LANGUAGES)
    _option(parser, "--since", type=checked(_duration))
    _option(parser, "--sweep")
    _option(parser, "--limit", type=checked(whole_number))
    _option(parser, "--code", action="store_true")
    _option(parser, "--output", action="store_true")
    _option(parser, "--prune", action="store_true")
    _option(parser, "--yes", action="store_true")
    return parser


def _show() -> MagicParser:
    parser = MagicParser("%hopx_show")
    parser.add_argument("reference", metavar="RUN")
    return parser


def _rerun() -> MagicParser:
    parser = MagicParser("%hopx_rerun")
    parser.add_argument("reference", metavar="RUN")
    _option(parser, "--param", action="append", type=checked(_param), default=[])
    _option(parser, "--env", action="append", type=checked(assignment), default=[])
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--here", action="store_true")
    on: Any = where.add_argument("--on", metavar="CONNECTION")
    on.completions = CONNECTIONS
    _option(parser, "-o", type=checked(identifier))
    _option(parser, "-q", "--quiet", action="store_true")
    return parser


def _diff() -> MagicParser:
    parser = MagicParser("%hopx_diff")
    parser.add_argument("one", metavar="RUN")
    parser.add_argument("other", metavar="ANOTHER_RUN")
    return parser


def _attach() -> MagicParser:
    parser = MagicParser("%hopx_attach")
    parser.add_argument("reference", metavar="RUN")
    _connection(parser)
    _option(parser, "-o", type=checked(identifier))
    return parser


def _logs() -> MagicParser:
    parser = MagicParser("%hopx_logs")
    parser.add_argument("reference", metavar="ID")
    streams = parser.add_mutually_exclusive_group()
    streams.add_argument("--stderr", action="store_true")
    streams.add_argument("--both", action="store_true")
    _option(parser, "--tail", type=checked(whole_number))
    _option(parser, "-f", "--follow", action="store_true")
    _connection(parser)
    return parser


def _wait() -> MagicParser:
    parser = MagicParser("%hopx_wait")
    _references(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--any", action="store_true")
    which.add_argument("--all", action="store_true")
    _option(parser, "--timeout", type=checked(_duration))
    _option(parser, "--no-raise", action="store_true")
    _connections(parser)
    return parser


def _kill() -> MagicParser:
    parser = MagicParser("%hopx_kill")
    _references(parser)
    _status(parser)
    _option(parser, "--all", action="store_true")
    _connections(parser)
    return parser


def _connect() -> MagicParser:
    parser = MagicParser("%hopx_connect")
    parser.add_argument("target", nargs="?")
    _option(parser, "--as")
    _option(parser, "--token-env")
    _option(parser, "--resume", action="store_true")
    _option(parser, "--new", nargs="?", const="code-interpreter", completions=("code-interpreter", "base"))
    _option(parser, "-n", type=checked(whole_number))
    _option(parser, "--timeout", type=checked(_duration))
    _option(parser, "--env", action="append", type=checked(assignment), default=[])
    _option(parser, "--region")
    return parser


def _disconnect() -> MagicParser:
    parser = MagicParser("%hopx_disconnect")
    parser.add_argument("name", metavar="NAME")
    _option(parser, "--delete", action="store_true")
    return parser


def _extend() -> MagicParser:
    parser = MagicParser("%hopx_extend")
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("time", metavar="TIME", type=checked(_duration))
    return parser


def _sh() -> MagicParser:
    parser = MagicParser("%hopx_sh")
    _connection(parser)
    _option(parser, "--timeout", type=checked(_duration))
    _option(parser, "--no-raise", action="store_true")
    return parser


def _put() -> MagicParser:
    parser = MagicParser("%hopx_put")
    parser.add_argument("path", nargs="+", metavar="PATH")
    _connection(parser)
    return parser


def _get() -> MagicParser:
    parser = MagicParser("%hopx_get")
    parser.add_argument("remote", metavar="REMOTE")
    parser.add_argument("local", nargs="?", metavar="LOCAL")
    _connection(parser)
    return parser


def _ls() -> MagicParser:
    parser = MagicParser("%hopx_ls")
    parser.add_argument("path", nargs="?", metavar="PATH")
    _connection(parser)
    return parser


def _limit(text: str) -> str:
    from ..durations import parse_limit

    parse_limit(text)
    return text


def _param(text: str) -> tuple[str, Any]:
    from ..params import parse_assignment

    return parse_assignment(text)


def _sweep(text: str) -> tuple[str, list[Any]]:
    from ..params import parse_sweep

    return parse_sweep(text)


def _duration(text: str) -> float:
    from ..durations import parse_duration

    return parse_duration(text)


PARSERS = {
    "hopx_bg": _bg(),
    "hopx_ps": _ps(),
    "hopx_watch": _watch(),
    "hopx_history": _history(),
    "hopx_show": _show(),
    "hopx_rerun": _rerun(),
    "hopx_diff": _diff(),
    "hopx_attach": _attach(),
    "hopx_logs": _logs(),
    "hopx_wait": _wait(),
    "hopx_kill": _kill(),
    "hopx_connect": _connect(),
    "hopx_disconnect": _disconnect(),
    "hopx_sandboxes": MagicParser("%hopx_sandboxes"),
    "hopx_extend": _extend(),
    "hopx_sh": _sh(),
    "hopx_put": _put(),
    "hopx_get": _get(),
    "hopx_ls": _ls(),
}

TAKE_REFERENCES = ("hopx_ps", "hopx_watch", "hopx_logs", "hopx_wait", "hopx_kill")
"""The magics whose arguments are ids and names of processes."""

TAKE_CONNECTIONS = ("hopx_connect", "hopx_disconnect", "hopx_extend")
"""The magics whose first argument is a connection."""

TAKE_RUNS = ("hopx_show", "hopx_rerun", "hopx_diff", "hopx_attach")
"""The magics whose arguments are ids and names of runs in the history."""
