"""How far a process says it is, read from the end of what it printed. No process needs to know of this."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from ..durations import LONGEST
from ..words import Status, word_set
from .screen import Screen


class Progress(NamedTuple):
    """`fraction` is 0 to 1; `left` are the seconds left, when the output itself says so."""

    fraction: float
    left: float | None


_WHOLE = 1 - 1e-9  # a sum of shares may miss the whole by a little


class Piece(NamedTuple):
    """A part of the whole, such as an epoch: where it begins and how large it is, both 0 to 1."""

    begin: float
    size: float

    def at(self, part: Progress) -> Progress:
        """How far the whole is when the piece is that far."""
        fraction = self.begin + self.size * part.fraction
        return Progress(fraction if fraction < _WHOLE else 1.0, part.left if self.size == 1 else None)


TAIL = 2000
"""Characters at the end of a stream that are looked at."""

FAR = 65_536
"""Characters at the end of a stream in which the name of the epoch is looked for."""

_DEEPEST = 3  # pieces of pieces that one line may name

_AFTER_SLASH = re.compile(r"/ *[0-9]")  # searched for quickly, as it begins with one certain character
_OF = re.compile(r" of +[0-9]")
_MAYBE = re.compile(r"[0-9] ?[%/]|[0-9] {1,9}(?:out +)?of +[0-9]|remaining:")
_LINE_START = re.compile(r"[\r\n]")
_SEQUENCE = re.compile(r"\x1b\[[0-9;:]*[A-Za-z]")
_SPAN = r"(?:\d+h ?)?(?:\d+m(?:in)? ?)?\d+(?:\.\d+)?s|\d+(?:\.\d+)?(?:h|m(?:in)?)\b"
_TIME = rf"(?:\d+ days?, *)?\d+(?::\d\d)+|{_SPAN}"
_NUMBER = r"\d[\d,]*"

_TQDM = re.compile(r"(\d{1,3})%\|[^|]*\|(?: *([\d.]+)[kMGTPEZ]?i?/([\d.]+)(\w*))?(?: *\[[\d:]+<([\d:]+))?")
_KERAS = re.compile(
    rf"(?<![\w/.,-])({_NUMBER})/({_NUMBER}) +(?:(?:\[[=>.# -]+\]|[━─]+)(?: +({_TIME}))?|- \d+m?s(?= - ))"
)
_BEHIND_BAR = re.compile(
    rf"(?:[━╸╺─]|----|[=>#] {{0,60}}\]) +({_NUMBER})/({_NUMBER})(?![\w/,]|\.\d)(?: +\d+(?::\d\d)+ +• +({_TIME}))?"
)
_FASTAI = re.compile(rf"% \[({_NUMBER})/({_NUMBER}) [\d:]+<({_TIME})")
_MAY_BE_BAR = re.compile(r"[━─╸╺\[\]#=>]|--|- ")
_SIZES = re.compile(r"[━╸╺#=>\]] +(\d+(?:\.\d+)?)/(\d+(?:\.\d+)?) *[kKMGT]?i?B\b")
_CATBOOST = re.compile(rf"\btotal: *(\d+[mu]s|{_SPAN})\s+remaining: *(\d+[mu]s|{_SPAN})")
_COUNT = re.compile(rf"(?<![\w/.,-])({_NUMBER})(?: ?/ {{0,9}}| {{1,9}}(?:out +)?of +)({_NUMBER})(?![\w/,-]|[.:]\d)")
_PERCENT = re.compile(r"(?<![\w.,+/%-])(\d{1,3}(?:\.\d+)?) ?%(?![\w%]| /)(?: +(\d+(?::\d\d){2}))?")
_LEFT = re.compile(rf"(?:\beta:? *|\bremaining: *|(?<=[\ds])<)({_TIME})", re.IGNORECASE)
_MAY_TELL_LEFT = re.compile(r"<|[Ee][Tt][Aa]|[Rr][Ee][Mm]")
_TO_CHECK = re.compile(r"\b(?:to|ir)-chk=(\d+)/(\d+)\)")

_WORD_BEFORE = re.compile(r"([a-z]+)[\s:#=]{0,12}[\[(]? {0,9}\Z", re.IGNORECASE)
_BRACKET_BEFORE = re.compile(r"\[ {0,9}\Z")
_BRACKET_AFTER = re.compile(r" ?\]| {0,9}\( *\d")
_YOLO = re.compile(
    rf" *({_NUMBER})/({_NUMBER}) +[\d.]+G "
)  # an epoch's row begins with its number and the GPU's memory
_YOLO_CHECK = re.compile(r" *Class +Images ")  # the check after each epoch has a bar of its own
_WIPED = re.compile(r": {20,}\Z")  # fastai's bar when it is done
_WORD = re.compile(r"[a-z]+\d?")
_CLAUSE = re.compile(r"[,;|]|\. ")
_GERUND = re.compile(r"\b(?!remaining|during|string)[a-z]{3,}ing\b", re.IGNORECASE)
_START = re.compile(r"\b(?:start|begin)", re.IGNORECASE)
_RESULT = re.compile(
    r"done|finish|complet|ended|saved|took|elapsed|time|loss|score|reward|return|perplexity"
    r"|(?<![a-z])(?:acc|accuracy|auc|cer|err|error|f1|iou|mae|map|mse|ok|ppl|r2|rmse|val|valid|test|wer)(?![a-z])"
    r"|[\d.] ?m?s\b",
    re.IGNORECASE,
)

_COUNTED = word_set("""
    step epoch batch batches iter iters iteration item file task chunk round trial fold page part sample image row
    record stage phase run episode generation frame block example test job shard section tree completed finished done
    processed processing downloaded downloading uploaded uploading loaded loading progress training it
""")
_PIECES = word_set("epoch fold stage phase trial run episode generation round")
_MARKS_OF_PIECES = (*_PIECES, "ing", "g ")  # the words, gerunds, and the memory in a row of YOLO's
_NOT_COUNTED = word_set("attempt retry retrying try tries rank gpu device node worker score replica host")
_OF_PROGRESS = word_set("""
    progress done complete completed finished downloading downloaded uploading installing building receiving resolving
    unpacking
""")
_OF_METRICS = word_set("""
    acc accuracy precision recall f1 auc map iou dice loss losses error errors err wer cer cpu gpu mem memory ram vram
    disk swap battery usage use used util utilization load free rate confidence conf probability prob score hit hits
    sparsity coverage cover dropout faster slower improvement reduction speedup overhead ci interval top top1 top5
    accept accepted idle humidity volume discount total
""")


def progress_in(text: str, within: Piece | None = None) -> Progress | None:
    """The newest indication of progress in the last `TAIL` characters of one stream, or None.

    Known are the bars of tqdm, keras, pip, rich, fastai and their like, `step 3/10`, `Done 3 out of 10`, `[3/10]`, and
    percentages, unless they belong to a word that is no progress ("accuracy: 97%"). In one line a bar counts more than
    a count and a count more than a percentage.

    What names an epoch, a fold or what it is busy with (`Epoch 3/20`, `Loading file 3/10`) tells that this has begun:
    two are done, and three when results stand behind it. A bar or a count behind it, or below, is a part of it;
    `within` is the piece to use when none is seen.

    Of tqdm's nested bars the outer one is meant: who waits asks for the whole, and an inner bar that is full tells
    nothing of that. When the outer bar was not drawn lately enough to be seen, this is None and not the inner bar's
    share: what was known before still holds.
    """
    tail = text[-TAIL:]
    if not may_tell_progress(tail) or not _MAYBE.search(tail):
        return None
    if len(text) >= TAIL:
        tail = _whole_lines(tail)
    if "\x1b[A" in tail:
        return _outer(tail)
    if _REDRAWN in tail:
        return _first_unfinished(tail.rpartition(_REDRAWN)[2])
    return _newest(tail, within or _epoch_above(text))


def piece_in(text: str) -> Piece | None:
    """The piece of the whole that has begun last, if the last `TAIL` characters name one, or an epoch not far above."""
    tail = text[-TAIL:]
    if not _may_name_a_piece(tail):
        return _epoch_above(text)
    lines = reversed(_lines(tail if len(text) < TAIL else _whole_lines(tail)))
    return _piece_of(lines) or _epoch_above(text)


def _epoch_above(text: str) -> Piece | None:
    """Bars may have been drawn many times since the epoch was named."""
    place = text.rfind("poch", max(0, len(text) - FAR), max(0, len(text) - TAIL))
    if place < 0:
        return None
    before, behind = text[max(0, place - 200) : place], text[place : place + 200]
    return _piece_of(iter([_lines(before)[-1] + _lines(behind)[0]]))


def may_tell_progress(text: str) -> bool:
    """Whether it is worth to look closely: False costs next to nothing, also for several texts put together."""
    return (
        "%" in text
        or ("/" in text and _AFTER_SLASH.search(text) is not None)
        or (" of " in text and _OF.search(text) is not None)
        or "remaining:" in text
    )


def newest_progress(stdout: str | None, stderr: str | None, within: Piece | None = None) -> Progress | None:
    """The progress that either stream tells, when it is not known which of them was written to last.

    When both tell one, that which is not at its end wins, as a full bar (of loading, of the epoch before) has no more
    to say; then the one whose line is still open, as it is being drawn; then the one that knows the time left; then
    stderr, where bars are drawn.
    """
    out = progress_in(stdout, within or piece_in(stderr or "")) if stdout else None
    err = progress_in(stderr, within or piece_in(stdout or "")) if stderr else None
    if out is None or err is None or stdout is None or stderr is None:
        return err if out is None else out

    return out if _has_more_to_say(stdout) > _has_more_to_say(stderr) else err


def _has_more_to_say(text: str) -> tuple[bool, bool, bool]:
    alone = progress_in(text)
    is_full = alone is not None and alone.fraction == 1
    return not is_full, not text.endswith("\n"), alone is not None and alone.left is not None


ALMOST_DONE = 0.99
"""The most that is shown of a process that did not complete."""


def fraction_at_end(fraction: float, status: Status) -> float:
    """What is shown of a process that has ended and told so much: one that completed has done all that it had to."""
    if status == "completed":
        return 1.0
    return min(fraction, ALMOST_DONE) if status in ("failed", "killed") else fraction


def _whole_lines(tail: str) -> str:
    """Without the rest of a line, or at least of a word, that began before: `7%` may be the end of `37%`."""
    start = _LINE_START.search(tail)
    return tail[start.start() if start else tail.find(" ") + 1 :]


def _lines(text: str) -> list[str]:
    return text.replace("\r", "\n").split("\n")


def _newest(text: str, within: Piece | None = None) -> Progress | None:
    lines = reversed(_lines(text))
    for line in lines:
        progress, is_of_piece = _read(line) if line else (None, False)
        if progress and is_of_piece:
            return progress
        if progress:
            piece = (_piece_of(lines) if _may_name_a_piece(text) else None) or within
            return piece.at(progress) if piece else progress
    return None


# ---------------------------------------------------------------- several bars


_REDRAWN = "\x1b[1A\x1b[2K"
"""Before rich draws its lines again."""


def _first_unfinished(lines: str) -> Progress | None:
    found = list(filter(None, map(_in_line, _lines(lines))))
    return next((progress for progress in found if progress.fraction < 1), found[-1] if found else None)


def _outer(text: str) -> Progress | None:
    """The bar in the row where tqdm leaves the cursor after it has drawn the inner ones below."""
    before, _, after = text.rpartition("\x1b[A")
    resting, *below = after.split("\n")
    outer = _newest(resting) or _in_line(_resting_row(before + "\x1b[A"))
    is_left_behind = outer is not None and outer.fraction == 1
    if len(below) > 1 or (below and is_left_behind):  # the bars are done, or an inner one stays above the outer one
        return _newest("\n".join(below)) or outer
    return outer


def _resting_row(text: str) -> str:
    screen = Screen()
    screen.feed("\n" * 20 + text)  # room for what goes up to rows before this text
    return screen.plain(screen.cursor[0])


# ---------------------------------------------------------------- pieces


def _begun(line: str) -> tuple[Piece, str] | None:
    """The piece that a line names as begun, and what stands behind its name."""
    counts = _COUNT.finditer(line) if "/" in line or " of " in line else ()
    for count in (_YOLO.match(line), *counts):
        if count and (count.re is _YOLO or _names_a_piece(line, count)) and _share(count[1], count[2]) is not None:
            total = _integer(count[2])
            return Piece(max(0, _integer(count[1]) - 1) / total, 1 / total), line[count.end() :]
    return None


def _may_name_a_piece(text: str) -> bool:
    """Whether it is worth to look for one: that takes each line."""
    lower = text.lower()
    return ("/" in text or " of " in text) and any(mark in lower for mark in _MARKS_OF_PIECES)


def _names_a_piece(line: str, count: re.Match[str]) -> bool:
    word = _counted_word(line, count)
    if word is None:
        return False
    clause = _CLAUSE.split(line[max(0, count.start() - 40) : count.start()])[-1]
    return word in _PIECES or _GERUND.search(clause) is not None


def _is_over(line: str, behind: str) -> bool:
    return _RESULT.search(behind) is not None and _START.search(line) is None


def _piece_of(lines: Iterator[str]) -> Piece | None:
    """The piece in which the lines below these are. They come from the last to the first."""
    for line in lines:
        if _MAYBE.search(line) and (begun := _begun(_SEQUENCE.sub("", line))):
            piece, behind = begun
            if not _is_over(line, behind):
                return piece
            return Piece(piece.begin + piece.size, piece.size) if piece.begin + piece.size < _WHOLE else None
    return None


# ---------------------------------------------------------------- one line


def _in_line(line: str, depth: int = _DEEPEST) -> Progress | None:
    return _read(line, depth)[0]


def _read(line: str, depth: int = _DEEPEST) -> tuple[Progress | None, bool]:
    """What a line tells, and whether it names the piece that it tells of."""
    if not _MAYBE.search(line) or _YOLO_CHECK.match(line) or _WIPED.search(line):
        return None, False
    if "\x1b" in line:
        line = _SEQUENCE.sub("", line)
    if begun := _begun(line):
        piece, behind = begun
        part = _in_line(behind, depth - 1) if depth and _begun(behind) else _bar(behind) or _count(behind)
        return piece.at(part or Progress(float(_is_over(line, behind)), None)), True
    return _bar(line) or _count(line) or _percent(line), False


def _bar(line: str) -> Progress | None:
    for bar in _latest(_TQDM, line) if "%|" in line else ():
        percent, done, total, unit, left = bar.groups()
        fraction = _share(done, total) if total and not unit and done.isdecimal() and total.isdecimal() else None
        return _progress(min(int(percent), 100) / 100 if fraction is None else fraction, left)
    for bar in _latest(_CATBOOST, line) if "remaining:" in line else ():
        spent, left = _seconds(bar[1]), _seconds(bar[2])
        return _progress(spent / (spent + left), bar[2]) if spent + left else None
    if "/" not in line or not _MAY_BE_BAR.search(line):
        return None
    for pattern in (_KERAS, _FASTAI, _BEHIND_BAR):
        for bar in _latest(pattern, line):
            if (fraction := _share(bar[1], bar[2])) is not None:
                return _progress(fraction, bar[3] or _left(line))
    for bar in _latest(_SIZES, line):
        done, total = _decimal(bar[1]), _decimal(bar[2])
        if 0 < total >= done:
            return _progress(done / total, _left(line))
    return None


def _count(line: str) -> Progress | None:
    for count in _latest(_COUNT, line) if "/" in line or " of " in line else ():
        if _counted_word(line, count) is not None and (fraction := _share(count[1], count[2])) is not None:
            return _progress(fraction, _left(line))
    return None


def _counted_word(line: str, count: re.Match[str]) -> str | None:
    """The word before a count of what is done, "" where brackets alone tell that it is one; None for another count."""
    before = line[max(0, count.start() - 40) : count.start()]
    named = _WORD_BEFORE.search(before)
    word = named[1].lower() if named else ""
    if word in _COUNTED or word.rstrip("s") in _COUNTED:
        return word
    in_brackets = _BRACKET_BEFORE.search(before) and _BRACKET_AFTER.match(line, count.end())
    return "" if in_brackets and word not in _NOT_COUNTED else None


def _percent(line: str) -> Progress | None:
    for percent in _latest(_PERCENT, line) if "%" in line else ():
        value = _decimal(percent[1])
        before = _CLAUSE.split(line[max(0, percent.start() - 40) : percent.start()])[-1]
        after = _CLAUSE.split(line[percent.end() : percent.end() + 24])[0]
        words = {*_WORD.findall(before.lower()), *_WORD.findall(after.lower())[:2]}
        in_brackets = _BRACKET_BEFORE.search(before) and after.startswith("]")
        if value <= 100 and (in_brackets or words & _OF_PROGRESS or not words & _OF_METRICS):
            if value == 100 and (files := _TO_CHECK.search(line)):  # of one file of rsync's
                return Progress(1 - (_share(files[1], files[2]) or 0.0), None)
            return _progress(value / 100, _left(line) or (percent[2] if "━" in line else None))
    return None


def _latest(pattern: re.Pattern[str], line: str) -> Iterator[re.Match[str]]:
    return reversed(list(pattern.finditer(line)))


def _share(done: str, total: str) -> float | None:
    """Nothing of more than all, nor of nothing."""
    count, whole = _integer(done), _integer(total)
    return count / whole if 0 < whole >= count else None


def _integer(digits: str) -> int:
    return int(digits[:20].replace(",", ""))


def _decimal(digits: str) -> float:
    return float(digits[:20])


def _left(line: str) -> str | None:
    found = _LEFT.search(line) if _MAY_TELL_LEFT.search(line) else None
    return found[1] if found else None


def _progress(fraction: float, left: str | None) -> Progress:
    if left is None or fraction == 1:
        return Progress(fraction, None if left is None else 0.0)
    seconds = _seconds(left)
    return Progress(fraction, seconds if seconds <= LONGEST else None)


_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6}


def _seconds(time: str) -> float:
    """Of `1 day, 1:02:03`, `02:03`, `12.5s`, `1m 30s`, `20ms`."""
    days, _, time = time.rpartition("day")
    seconds = 86400.0 * int(days[:9] or 0)
    if ":" in time:
        parts = time.removeprefix("s").strip(", ").split(":")
        return seconds + sum(int(part[:9] or 0) * 60.0**place for place, part in enumerate(reversed(parts[-3:])))
    for number, unit in re.findall(r"(\d{1,9}(?:\.\d{1,9})?)(ms|us|[hms])", time):
        seconds += float(number) * _UNITS[unit]
    return seconds
