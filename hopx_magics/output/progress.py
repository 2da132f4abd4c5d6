"""How far a process says it is, read from the end of what it printed. No process needs to know of this."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from ..durations import LONGEST
from ..words import word_set
from .screen import Screen


class Progress(NamedTuple):
    """`fraction` is 0 to 1; `left` are the seconds left, when the output itself says so."""

    fraction: float
    left: float | None


TAIL = 2000
"""Characters at the end of a stream that are looked at."""

_AFTER_SLASH = re.compile(r"/ ?[0-9]")  # searched for quickly, as it begins with one certain character
_MAYBE = re.compile(r"[0-9] ?[%/]")
_LINE_START = re.compile(r"[\r\n]")
_SEQUENCE = re.compile(r"\x1b\[[0-9;:]*[A-Za-z]")
_TIME = r"\d+(?::\d\d)+|(?:\d+h ?)?(?:\d+m(?:in)? ?)?\d+s|\d+[hm]\b"
_NUMBER = r"\d[\d,]*"

_TQDM = re.compile(r"(\d{1,3})%\|[^|]*\|(?: *([\d.]+)[kMGTPEZ]?i?/([\d.]+)(\w*))?(?: *\[[\d:]+<([\d:]+))?")
_KERAS = re.compile(rf"(?<![\w/.,-])({_NUMBER})/({_NUMBER}) +(?:\[[=>.# -]+\]|[━─]+)(?: +({_TIME}))?")
_SIZES = re.compile(r"[━╸╺#=>\]] +(\d+(?:\.\d+)?)/(\d+(?:\.\d+)?) *[kKMGT]?i?B\b")
_EPOCH = re.compile(rf"\bepochs?[\s:#\[(]{{1,3}}({_NUMBER}) ?/ ?({_NUMBER})(?![\w/])", re.IGNORECASE)
_COUNT = re.compile(rf"(?<![\w/.,-])({_NUMBER}) ?/ ?({_NUMBER})(?![\w/,-]|[.:]\d)")
_PERCENT = re.compile(r"(?<![\w.,+/%-])(\d{1,3}(?:\.\d+)?) ?%(?![\w%]| /)(?: +(\d+(?::\d\d){2}))?")
_ETA = re.compile(rf"\beta:? *({_TIME})", re.IGNORECASE)

_WORD_BEFORE = re.compile(r"([a-z]+)[\s:#]{0,2}[\[(]?\s?\Z", re.IGNORECASE)
_BRACKET_AFTER = re.compile(r" ?\]| \(\d")
_WORD = re.compile(r"[a-z]+\d?")
_CLAUSE = re.compile(r"[,;|]|\. ")


_COUNTED = word_set("""
    step epoch batch batches iter iters iteration item file task chunk round trial fold page part sample image row
    record stage phase run episode generation frame block example test job shard section completed finished done
    processed processing downloaded downloading uploaded uploading loaded loading progress training it
""")
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


def progress_in(text: str) -> Progress | None:
    """The newest indication of progress in the last `TAIL` characters of one stream, or None.

    Known are tqdm's bars, keras', pip's and rich's, `Epoch 3/20`, `step 3/10`, `[3/10]`, and percentages, unless they
    belong to a word that is no progress ("accuracy: 97%"). In one line a bar counts more than a count and a count more
    than a percentage, and within "Epoch 3/20" they are a part of that epoch.

    Of tqdm's nested bars the outer one is meant: who waits asks for the whole, and an inner bar that is full tells
    nothing of that. When the outer bar was not drawn lately enough to be seen, this is None and not the inner bar's
    share: what was known before still holds.
    """
    tail = text[-TAIL:]
    if not may_tell_progress(tail) or not _MAYBE.search(tail):
        return None
    if len(text) > TAIL:
        tail = _whole_lines(tail)
    if "\x1b[A" in tail:
        return _outer(tail)
    return _newest(tail)


def may_tell_progress(text: str) -> bool:
    """Whether it is worth to look closely: False costs next to nothing, also for several texts put together."""
    return "%" in text or ("/" in text and _AFTER_SLASH.search(text) is not None)


def newest_progress(stdout: str | None, stderr: str | None) -> Progress | None:
    """The progress that either stream tells, when it is not known which of them was written to last.

    When both tell one, that which is not at its end wins, as a full bar (of loading, of the epoch before) has no more
    to say; then the one whose line is still open, as it is being drawn; then the one that knows the time left; then
    stderr, where bars are drawn.
    """
    out, err = progress_in(stdout) if stdout else None, progress_in(stderr) if stderr else None
    if out is None or err is None or stdout is None or stderr is None:
        return err if out is None else out

    def weight(progress: Progress, text: str) -> tuple[bool, bool, bool]:
        return progress.fraction < 1, not text.endswith("\n"), progress.left is not None

    return out if weight(out, stdout) > weight(err, stderr) else err


def _whole_lines(tail: str) -> str:
    """Without the rest of a line, or at least of a word, that began before: `7%` may be the end of `37%`."""
    start = _LINE_START.search(tail)
    return tail[start.start() if start else tail.find(" ") + 1 :]


def _newest(text: str) -> Progress | None:
    for line in reversed(text.replace("\r", "\n").split("\n")):
        if line and (progress := _in_line(line)):
            return progress
    return None


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


def _in_line(line: str) -> Progress | None:
    if not _MAYBE.search(line):
        return None
    if "\x1b" in line:
        line = _SEQUENCE.sub("", line)
    for epoch in _EPOCH.finditer(line) if "poch" in line or "POCH" in line else ():
        rest = line[epoch.end() :]
        whole, part = _share(epoch[1], epoch[2]), _bar(rest) or _count(rest)
        if whole is not None and part is not None:
            total = _integer(epoch[2])
            return Progress(max(0, _integer(epoch[1]) - 1) / total + part.fraction / total, None)
    return _bar(line) or _count(line) or _percent(line)


def _bar(line: str) -> Progress | None:
    for bar in _latest(_TQDM, line) if "%|" in line else ():
        percent, done, total, unit, left = bar.groups()
        fraction = _share(done, total) if total and not unit and done.isdecimal() and total.isdecimal() else None
        return _progress(min(int(percent), 100) / 100 if fraction is None else fraction, left)
    if "/" not in line:
        return None
    for bar in _latest(_KERAS, line):
        if (fraction := _share(bar[1], bar[2])) is not None:
            return _progress(fraction, bar[3] or _eta(line))
    for bar in _latest(_SIZES, line):
        done, total = _decimal(bar[1]), _decimal(bar[2])
        if 0 < total >= done:
            return _progress(done / total, _eta(line))
    return None


def _count(line: str) -> Progress | None:
    for count in _latest(_COUNT, line) if "/" in line else ():
        before = line[max(0, count.start() - 24) : count.start()]
        named = _WORD_BEFORE.search(before)
        word = named[1].lower() if named else ""
        in_brackets = before.endswith("[") and _BRACKET_AFTER.match(line, count.end())
        is_counted = word in _COUNTED or word.rstrip("s") in _COUNTED
        if is_counted or (in_brackets and word not in _NOT_COUNTED):
            fraction = _share(count[1], count[2])
            if fraction is not None:
                return _progress(fraction, _eta(line))
    return None


def _percent(line: str) -> Progress | None:
    for percent in _latest(_PERCENT, line) if "%" in line else ():
        value = _decimal(percent[1])
        before = _CLAUSE.split(line[max(0, percent.start() - 40) : percent.start()])[-1]
        after = _CLAUSE.split(line[percent.end() : percent.end() + 24])[0]
        words = {*_WORD.findall(before.lower()), *_WORD.findall(after.lower())[:2]}
        if value <= 100 and (words & _OF_PROGRESS or not words & _OF_METRICS):
            return _progress(value / 100, _eta(line) or (percent[2] if "━" in line else None))
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


def _eta(line: str) -> str | None:
    found = _ETA.search(line)
    return found[1] if found else None


def _progress(fraction: float, left: str | None) -> Progress:
    if left is None or fraction == 1:
        return Progress(fraction, None if left is None else 0.0)
    seconds = _seconds(left)
    return Progress(fraction, seconds if seconds <= LONGEST else None)


def _seconds(time: str) -> float:
    """Of `1:02:03`, `02:03`, `12s`, `1m 30s`."""
    seconds = 0.0
    if ":" in time:
        for part in time.split(":"):
            seconds = 60 * seconds + int(part[:9] or 0)
        return seconds
    for number, unit in re.findall(r"(\d{1,9})([hms])", time):
        seconds += int(number) * {"h": 3600, "m": 60, "s": 1}[unit]
    return seconds
