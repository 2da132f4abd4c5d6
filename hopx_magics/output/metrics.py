"""The numbers that a program names in what it printed: `loss: 0.31`. No program needs to know of this."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple

from ..words import word_set
from .error_lines import ErrorLines
from .known_lines import KnownLines
from .oneline import printable
from .shown import as_plain


class Metric(NamedTuple):
    """A number with its name. `line` is that of the text as a terminal shows it, from 1."""

    name: str
    value: float
    line: int


LONGEST_LINE = 10_000
"""Characters at the end of a line that are looked at."""

MOST_METRICS = 100
"""Metrics of one run that are shown, at most: wild output may have very many."""

MOST_IN_JSON = 100
"""Numbers in one line of JSON beyond which it is data and no metrics."""

_DEEPEST = 8
_FARTHEST = 120  # characters before a number in which its name is looked for
_MOST_WORDS = 5

_Pair = tuple[str, float]

_DIGITS = r"[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30}"
_NUMBER = rf"[+-]?(?:(?:{_DIGITS})(?:[eE][+-]?[0-9]{{1,4}})?|(?i:nan|inf(?:inity)?))"
_NUMBER_ALONE = re.compile(_NUMBER)
# No digits after a comma (1,234), no `/` (3/20), no `:` within (12:30), no letter (5ms), no bar behind a percentage.
_END = r"(?=$|[\s;)\]}|│\"'+±*]|%(?!\|)|,(?![0-9])|[:.](?:\s|$))"
_VALUE = re.compile(rf"(?:(?P<sign>[:=]) {{0,40}}+|(?<! ) {{1,40}}+)(?P<number>{_NUMBER}){_END}")
_WORD = r"[^\W\d][\w.@/'#%-]*+"
_NAME = re.compile(rf"(?<![\w.@/'#%&?$\\-])({_WORD}(?: {_WORD})*+(?: \([\w%@.-]{{1,24}}\))?+) *\Z")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_WRAPPED = re.compile(r"\b(?:tensor|np\.[a-z]+[0-9]*)\(([^(),]*+)[^()]*+\)")
_CALL = re.compile(r"\w\((?:[^()]++|\([^()]*+\))*+\)?+")
_RAISED = re.compile(r"[\w.]*\w(?:Error|Exception|Warning|Exit)")
_QUOTED = re.compile(rf"""[\s{{]*(?P<quote>['"])(?P<name>[^'"\\]{{1,80}})(?P=quote): (?P<number>{_NUMBER})[,\s}}]*""")

_MEASURE = re.compile(
    r"loss|accuracy|precision|recall|score|perplexity|reward"
    r"|(?<![a-z])(?:acc|auc|bleu|cer|err|error|f1|iou|mae|map|mape|miou|mse|ppl|r2|rmse|rouge|top|wer)(?![a-z])",
    re.IGNORECASE,
)
_SMALLER = re.compile(
    r"loss|perplexity|(?<![a-z])(?:cer|err|error|mae|mape|mse|ppl|rmse|wer)(?![a-z])",
    re.IGNORECASE,
)


_QUALIFIERS = word_set("""
    train training val valid validation test testing eval evaluation dev best final last mean avg average median min
    max macro micro weighted
""")
_LEVELS = word_set("TRACE DEBUG INFO NOTICE WARN WARNING ERROR CRITICAL FATAL")
_ROUNDS = word_set("epoch epochs step steps it iter iters iteration iterations batch batches fold round trial episode")
_COUNTERS = _ROUNDS | word_set("progress objects deltas seed rank pid port id version line")
_TIMES = word_set("time timestamp ts date datetime asctime created created_at")
_NO_METRICS = _TIMES | word_set("s dur eta elapsed remaining v_num") | {"total time", "elapsed time"}
_OF_LOGGING = _TIMES | word_set("pid process thread lineno levelno")
_SETTINGS = re.compile(r"config|args|argument|param|setting|option|namespace", re.IGNORECASE)


def metrics_in(text: str, pattern: str | None = None) -> list[Metric]:
    """The numbers that `text` names, in the order in which they appear.

    What a terminal would show of `text` counts: a progress bar once, with its last state.

    Known are `name: 0.3`, `name=0.3`, `name = 0.3` and, of names that speak of a loss, an accuracy and the like, also
    `name 0.3`; JSON and dicts on one line (`{"eval": {"loss": 0.3}}` is `eval.loss`); the bars of keras, tqdm and
    Lightning with what stands behind them; xgboost, LightGBM and CatBoost; the tables of Lightning, skorch and
    stable-baselines; sklearn's classification_report and the scores of its GridSearchCV. Names are as written.
    95.2 % is 95.2. Times, dates, versions, shares (`3/20`), numbers with thousands separators or units (`5ms`),
    arguments of calls, and the texts of errors and warnings with their tracebacks are no metrics, and neither are
    `epoch` and `step`, except in JSON and dicts.

    `pattern` is a regular expression to use instead, line by line: the group `value`, or the only one, is the number;
    the group `name`, or the first of two, is its name, which else is "value".

    Raises ValueError for a bad pattern.
    """
    find = Finder().pairs if pattern is None else _by_pattern(pattern)
    lines = enumerate(as_plain(text).split("\n"), start=1)
    return [Metric(name, value, number) for number, line in lines for name, value in find(line[-LONGEST_LINE:])]


def better(name: str) -> Literal["min", "max"] | None:
    """Whether the smallest or the largest value of a metric is its best, as far as its name tells."""
    if _SMALLER.search(name):
        return "min"
    return "max" if _MEASURE.search(name) else None


# ---------------------------------------------------------------- a pattern of the user's


def _by_pattern(pattern: str) -> Callable[[str], Iterator[_Pair]]:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
    name, value = _groups(expression)

    def find(line: str) -> Iterator[_Pair]:
        for match in expression.finditer(line):
            number = _number(match[value] or "")
            if number is not None:
                yield ("value" if name is None else printable(match[name] or "")), number

    return find


def _groups(expression: re.Pattern[str]) -> tuple[str | int | None, str | int]:
    """The groups of the name and of the value."""
    if "value" in expression.groupindex:
        return ("name" if "name" in expression.groupindex else None), "value"
    if expression.groupindex or expression.groups not in (1, 2):
        raise ValueError(
            f"{expression.pattern!r} does not say where the number is: use a group for it, such as "
            r"'loss (?P<value>[\d.]+)', and one for its name, such as '(?P<name>\w+) is (?P<value>[\d.]+)'"
        )
    return (None, 1) if expression.groups == 1 else (1, 2)


def _number(text: str) -> float | None:
    digits = text.strip().rstrip("%,;")
    return float(digits) if _NUMBER_ALONE.fullmatch(digits) else None


# ---------------------------------------------------------------- what programs print


class Finder:
    """Looks at one line after the other, as `metrics_in` does; it knows which table's rows may come."""

    def __init__(self) -> None:
        self._table: _Table | None = None
        self._errors = ErrorLines()

    @property
    def in_table(self) -> bool:
        """Whether the next line may be a row of a table."""
        return self._table is not None

    def find(self, text: str) -> Iterator[_Pair]:
        """The numbers of the next lines, as a terminal shows them."""
        for line in as_plain(text).split("\n"):
            yield from self.pairs(line[-LONGEST_LINE:])

    def pairs(self, line: str) -> list[_Pair]:
        """The numbers of the next line."""
        found = None if self._expects else _KNOWN.find(line)
        return self._look(line) if found is None else found

    @property
    def _expects(self) -> bool:
        """Whether what the next line is depends on those before it."""
        return self._table is not None or self._errors.expects

    def _look(self, line: str) -> list[_Pair]:
        if self._errors.take(line) or not line or line.isspace():
            return []
        if line.rstrip().endswith("}") and "{" in line:
            found = _in_dict(line)
            if found is not None:
                return found
        cells = _cells(line)
        if self._table and (row := self._table.row(cells)) is not None:
            return row
        if not _is_rule(line):
            self._table = _table(cells)
        if _is_boxed(line):
            return _in_box(cells)
        return list(_in_text(line))


def _pairs_alone(line: str) -> list[_Pair] | None:
    """The numbers of a line before which there are no others; None if more depends on it."""
    finder = Finder()
    found = finder._look(line)
    return None if finder._expects else found


_KNOWN = KnownLines(_pairs_alone, _NUMBER_ALONE)


def _in_text(line: str) -> Iterator[_Pair]:
    if quoted := _QUOTED.fullmatch(line):  # JSON or a dict on several lines
        yield printable(quoted["name"]), float(quoted["number"])
        return
    if line.startswith("[CV"):
        line = _scores(line)
    if "(" in line:
        line = _CALL.sub(_without_arguments, _WRAPPED.sub(r"\1", line))
    if line.endswith(")") and line.count(")") > line.count("("):  # of a call on several lines
        return
    before = 0
    for value in _VALUE.finditer(line):
        if name := _name(line, max(before, value.start() - _FARTHEST), value):
            yield name, float(value["number"])
        before = value.end()


def _without_arguments(call: re.Match[str]) -> str:
    return " " if "=" in call[0] else call[0]


def _name(line: str, start: int, value: re.Match[str]) -> str | None:
    """The words before a number, if they name a metric."""
    found = _NAME.search(line, start, value.start())
    if found is None or (_INTEGER.fullmatch(value["number"]) and _is_place_or_error(found[1], value)):
        return None
    words = _without_levels(found[1].split(" "))
    is_joined = value["sign"] == "=" and found.end(1) == value.start()  # `step loss=0.3`
    is_unsure = value["sign"] is None or len(words) > _MOST_WORDS
    if is_joined or is_unsure:
        words = _qualified(words)
    if not words or (is_unsure and not _MEASURE.search(words[-1])):
        return None
    name = " ".join(words)
    return None if _is_no_metric(name) else name


def _is_place_or_error(words: str, value: re.Match[str]) -> bool:
    """Of a whole number: localhost:8080, file.py:12, KeyError: 3, and sentences such as `loss 3 times`."""
    is_tight = value.end("sign") == value.start("number")
    return value["sign"] is None or (value["sign"] == ":" and is_tight) or _RAISED.fullmatch(words) is not None


def _without_levels(words: list[str]) -> list[str]:
    for number in range(len(words) - 1, -1, -1):
        if words[number] in _LEVELS:
            return words[number + 1 :]
    return words


def _qualified(words: list[str]) -> list[str]:
    """The last word, and those before it that qualify it: `val loss`."""
    start = len(words) - 1
    while start > 0 and words[start - 1].lower() in _QUALIFIERS:
        start -= 1
    return words[start:]


def _is_no_metric(name: str) -> bool:
    lower = name.lower()
    last = lower.rpartition(" ")[2]
    return lower in _NO_METRICS or last in _COUNTERS or last.endswith(("_rank", "_port", "_seed"))


_TRAIN_AND_TEST = re.compile(r"\b(\w++)(?:=|: )\((?:train=([^,()]*), )?test=([^,()]*)\)")


def _scores(line: str) -> str:
    """What stands behind the parameters in a line of sklearn's cross validation."""

    def spread(scores: re.Match[str]) -> str:
        name, train, test = scores.groups()
        return f"{name}={test}" + (f", train_{name}={train}" if train else "")

    return _TRAIN_AND_TEST.sub(spread, line.rpartition(";")[2])


# ---------------------------------------------------------------- JSON and dicts

_OF_PYTHON = re.compile(
    rf"""
    (?<=[:][ ]) (?P<quote>['"]) (?P<number>{_NUMBER}) (?P=quote)
    | ' (?P<text>(?:[^'\\]|\\.)*+) '?+
    | (?P<json>" (?:[^"\\]|\\.)*+ "?+)
    | (?P<word>(?<![\w.]) [A-Za-z]\w*+)
    | (?P<bracket>[()])
    """,
    re.VERBOSE,
)
_JSON_WORDS = {"True": "true", "False": "false", "None": "null", "nan": "NaN", "inf": "Infinity"}
_JSON_BRACKETS = {"(": "[", ")": "]"}


def _in_dict(line: str) -> list[_Pair] | None:
    """The numbers of the JSON object or dict at the end of the line; None if there is none."""
    before, _, rest = line.partition("{")
    text = "{" + rest.rstrip()
    found = _loaded(text)
    if found is None:
        found = _loaded(_OF_PYTHON.sub(_as_json, _WRAPPED.sub(r"\1", text)))
    if not isinstance(found, dict):
        return None
    if _SETTINGS.search(before):
        return []
    pairs = list(_flat(found, "", _DEEPEST))
    return pairs if len(pairs) <= MOST_IN_JSON else []


def _loaded(text: str) -> Any:
    try:
        return json.loads(text, parse_int=float)
    except (ValueError, RecursionError):
        return None


def _as_json(token: re.Match[str]) -> str:
    """A piece of a Python dict in JSON. Numbers may be quoted, as the newer transformers does."""
    kind, chars = token.lastgroup, token[0]
    if kind == "text":
        return json.dumps(token["text"].replace("\\'", "'"))
    if kind == "word":
        return _JSON_WORDS.get(chars, chars)
    if kind == "bracket":
        return _JSON_BRACKETS[chars]
    if kind == "json":
        return chars
    return str(token["number"])


def _flat(found: dict[str, Any], above: str, depth: int) -> Iterator[_Pair]:
    for key, value in found.items():
        name = printable(above + key, 120)
        if isinstance(value, float):
            if name and key.lower() not in _OF_LOGGING:
                yield name, value
        elif isinstance(value, dict) and depth:
            yield from _flat(value, f"{name}.", depth - 1)


# ---------------------------------------------------------------- tables

_BARS = "|│┃"
_BAR = re.compile(f"[{_BARS}]")
_GAP = re.compile(" {2,}")


class _Table(NamedTuple):
    """A table whose header was seen: `columns` are the names of what stands behind the first column.

    `read` makes metrics of a row, given its first cell, the others and the columns; it gives None for another row.
    """

    columns: list[str]
    read: Callable[[str, list[str], list[str]], list[_Pair] | None]

    def row(self, cells: list[str]) -> list[_Pair] | None:
        return self.read(cells[0], cells[1:], self.columns)


def _table(cells: list[str]) -> _Table | None:
    """The table that begins with this line, if it is a known one's header."""
    first, *others = cells
    if cells[:2] == ["precision", "recall"]:
        return _Table(cells, _of_report)
    if first.endswith(" metric") and others and all(other.startswith("DataLoader ") for other in others):
        return _Table(others, _of_loaders)
    if first.lower() in _ROUNDS and others and all(map(_NAME.fullmatch, others)):
        return _Table(others, _of_epoch)
    return None


def _of_report(name: str, values: list[str], columns: list[str]) -> list[_Pair] | None:
    """Of sklearn's classification_report: what is said of all classes together."""
    numbers = list(map(_number, values))
    if not numbers or None in numbers:
        return None
    if name == "accuracy":
        columns = [name]
    elif name.endswith(" avg"):
        columns = [f"{name} {column}" for column in columns if column != "support"]
    else:
        columns = []
    return _named(columns, numbers)


def _of_loaders(name: str, values: list[str], columns: list[str]) -> list[_Pair] | None:
    """Of Lightning's results of a test, which has a column for each DataLoader."""
    numbers = list(map(_number, values))
    if len(values) != len(columns) or not any(number is not None for number in numbers):
        return None
    names = [name] if len(columns) == 1 else [f"{name} {column}" for column in columns]
    return _named(names, numbers) if name else []


def _of_epoch(name: str, values: list[str], columns: list[str]) -> list[_Pair] | None:
    """Of a table with a row for each epoch, as skorch and fastai print it."""
    if not name.isdecimal():
        return None
    if len(values) != len(columns):  # which one is missing can't be told
        return []
    return [pair for pair in _named(columns, map(_number, values)) if not _is_no_metric(pair[0])]


def _named(names: Iterable[str], numbers: Iterable[float | None]) -> list[_Pair]:
    pairs = [(printable(name, 120), number) for name, number in zip(names, numbers, strict=False) if number is not None]
    return [(name, number) for name, number in pairs if name]


def _cells(line: str) -> list[str]:
    inner = line.strip().strip(_BARS)
    return [cell.strip() for cell in (_BAR if _BAR.search(inner) else _GAP).split(inner)]


def _is_boxed(line: str) -> bool:
    stripped = line.strip()
    return len(stripped) > 1 and stripped[0] in _BARS and stripped[-1] in _BARS


def _is_rule(line: str) -> bool:
    return not any(map(str.isalnum, line))


def _in_box(cells: list[str]) -> list[_Pair]:
    """A name and its number in a row of two, as stable-baselines draws them."""
    filled = [cell for cell in cells if cell]
    if len(filled) != 2 or not _NAME.fullmatch(filled[0]) or _is_no_metric(filled[0]):
        return []
    return _named(filled[:1], map(_number, filled[1:]))
