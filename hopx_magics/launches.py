"""From what a user gives to launches that can be sent: checked, with every combination of a sweep, or once more."""

import math
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypedDict, Unpack
from urllib.parse import urlsplit

import msgspec

from .durations import parse_duration, parse_limit
from .errors import LaunchError
from .kept import KeptRun
from .models import Callback, Launch, ProcessId, RunId
from .notices import read_notify
from .output.conditions import parse_bound
from .output.halving import parse_keep_best
from .output.oneline import one_line, printable
from .params import checked_params, combinations
from .python_code import needs_notebook
from .surroundings import present_surroundings
from .values.calls import Written
from .values.packed import Packed
from .values.packing import Notebook, pack_named
from .words import CAPTURES, LANGUAGE_ALIASES, LANGUAGES, Capture, Language

MOST_LINES = 100_000
"""What the number of a code's first line may be: as many empty lines are sent ahead of it."""

MOST_RETRIES = 1_000
"""How often something can be launched anew."""

LONGEST_NAME = 900
"""Characters of a name. Agents are known to take 1,000 with the launch's mark behind it."""


class LaunchOptions(TypedDict, total=False):
    """What can be said of a launch besides its code. `timeout` is in seconds or a text like `2h`, None is no limit.

    `first_line` is the number that errors give to the first line of the code: where in a cell or a file it begins.
    `values` are variables that Python code gets, and `keep` names of those of its own that are kept at its end.
    `cell` is the number of the notebook's cell that it is, and `transform` makes Python of code with magics.
    `after` and `after_any` are runs, ids or names, one, several, or by the variables in which the code finds what they
    have kept; `former` are their processes by these variables. `retry` is how often it is launched anew when it
    fails, and `retry_delay` how long after that, in seconds or as a text like `30s`. `memory` is in bytes, or a text
    like `4GB`. `stop_when` is a bound of a metric such as `loss>10`, or several. `notify` says of what somebody is told
    and where: see `notices.read_notify`. With `fork` it is a fork of this program, in which OpenMP has so many
    `threads`.
    """

    first_line: int
    language: str
    name: str | None
    timeout: str | float | None
    env: Mapping[str, str] | None
    workdir: str | None
    params: Mapping[str, Any] | None
    tags: Mapping[str, str] | None
    rerun_of: RunId | None
    callback: Callback | None
    capture: Capture
    values: Mapping[str, Any] | Packed | None
    keep: Sequence[str]
    cell: int | None
    transform: Callable[[str], str]
    kill_leftovers: bool
    first: bool
    after: Any
    after_any: Any
    former: Mapping[str, Sequence[ProcessId]]
    retry: int
    retry_delay: str | float
    gpus: float
    cpus: float
    memory: str | int | None
    stop_when: str | Sequence[str] | None
    notify: bool | str | Sequence[str] | None
    fork: bool
    threads: int | None


def checked_launch(code: str, **options: Unpack[LaunchOptions]) -> Launch:
    """The launch of this code, with a mark of its own. Raises ValueError and CodeError."""
    if not code.strip():
        raise ValueError("there is no code to launch")
    language = checked_language(options.get("language", "python"))
    first_line = _checked_first_line(options.get("first_line", 1))
    takes_notebook = language == "python" and needs_notebook(code, first_line, options.get("transform"))
    limit = parse_limit(options.get("timeout"))
    return Launch(
        code=code,
        run_id=_new_run_id(),
        first_line=first_line,
        language=language,
        name=_checked_name(options.get("name")),
        timeout=None if limit is None else max(1, round(limit)),
        env=_checked_env(options.get("env") or {}),
        workdir=options.get("workdir"),
        params=checked_params(options.get("params") or {}, language),
        tags=_checked_tags(options.get("tags") or {}),
        rerun_of=options.get("rerun_of"),
        callback=_checked_callback(options.get("callback")),
        capture=_checked_capture(options.get("capture", "auto")),
        packed=_packed(options.get("values"), options.get("keep"), language),
        keep=_checked_keep(options.get("keep", ()), language),
        surroundings=present_surroundings(),
        needs_notebook=takes_notebook,
        cell=options.get("cell"),
        kill_leftovers=bool(options.get("kill_leftovers", False)),
        first=bool(options.get("first", False)),
        after=tuple(options.get("after") or ()),
        after_any=tuple(options.get("after_any") or ()),
        former={name: list(ids) for name, ids in options.get("former", {}).items()} if language == "python" else {},
        retries=_checked_retries(options.get("retry", 0)),
        retry_delay=parse_duration(options.get("retry_delay", 0.0)),
        gpus=_checked_amount("GPUs", options.get("gpus", 0.0), whole_above=1.0),
        cpus=_checked_amount("processors", options.get("cpus", 0.0)),
        memory=parse_size(options.get("memory") or 0),
        stop_when=_checked_bounds(options.get("stop_when") or ()),
        notify=read_notify(options.get("notify")),
        **_checked_fork(language, options),
    )


class SweepLaunches(NamedTuple):
    """The launches of one sweep, `total` of them; each is made when it is taken, and all are checked before.
    `keeps_by` is the metric by which the best are kept at half time, `retries` how often what fails is tried again.
    Each may be a `fork` of this program."""

    sweep_id: str
    total: int
    launches: Iterator[Launch]
    keeps_by: str | None = None
    retries: int = 0
    fork: bool = False


def checked_sweep(
    launch: Launch, sweeps: Mapping[str, Sequence[Any]], *, limit: int | None = None, keep_best: str | None = None
) -> SweepLaunches:
    """A launch with every combination of these values, all of one sweep. Raises ValueError."""
    limit = checked_sweep_limit(limit)
    rule = None if keep_best is None else parse_keep_best(keep_best)
    launch = msgspec.structs.replace(launch, keep_best=rule and rule.text)
    sweep_id = new_sweep_id()
    checked = [checked_params(params, launch.language) for params in combinations(sweeps, launch.params)]
    notify = launch.notify and msgspec.structs.replace(launch.notify, varied=tuple(sweeps))
    launches = (
        msgspec.structs.replace(
            launch, run_id=_new_run_id(), params=params, sweep_id=sweep_id, limit=limit, index=index, notify=notify
        )
        for index, params in enumerate(checked)
    )
    return SweepLaunches(sweep_id, len(checked), launches, rule and rule.metric, launch.retries, launch.fork)


def counted(planned: SweepLaunches) -> Iterator[Launch]:
    """The launches of a sweep, all of which go to one agent: it can tell when all have ended."""
    for launch in planned.launches:
        notify = launch.notify and msgspec.structs.replace(launch.notify, of=planned.total)
        yield msgspec.structs.replace(launch, notify=notify) if notify else launch


def checked_calls(launch: Launch, calls: Iterable[Written], sweep_id: str, *, limit: int | None) -> Iterator[Launch]:
    """A launch of each of these calls of a function, all of one sweep."""
    for index, (code, packed, params) in enumerate(calls):
        yield msgspec.structs.replace(
            launch,
            code=code,
            packed=packed,
            params={**launch.params, **params},
            run_id=_new_run_id(),
            sweep_id=sweep_id,
            limit=limit,
            index=index,
        )


def checked_trial(launch: Launch, params: Mapping[str, Any], sweep_id: str) -> Launch:
    """The same launch with these parameters, too, as one of a sweep. Raises ValueError."""
    checked = checked_params({**launch.params, **params}, launch.language)
    return msgspec.structs.replace(launch, run_id=_new_run_id(), params=checked, sweep_id=sweep_id)


def checked_copies(launch: Launch, count: int) -> list[Launch]:
    """The same launch so many times, as one sweep."""
    sweep_id = new_sweep_id()
    return [msgspec.structs.replace(launch, run_id=_new_run_id(), sweep_id=sweep_id) for _ in range(count)]


def checked_again(
    kept: KeptRun,
    *,
    params: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    values: Mapping[str, Any] | Packed | None = None,
    places: Sequence[str] = (),
    sweep_id: str | None = None,
) -> Launch:
    """The launch of a kept run, with some params replaced or added, and with these values; maybe as one of a sweep.

    The history has no values of env variables: they must be in `env`, where more may be. It does not have the `places`
    either where notices go: by default it is where those of any launch do.

    Raises LaunchError when something of the run is not known, ValueError for a param that can't be used.
    """
    if kept.code is None:
        raise LaunchError(
            f"the code of {kept.run_id} is not known: the history has not launched it, but found it in a listing",
            hint="Only what was launched with this history can be launched again.",
        )
    known = env or {}
    missing = [printable(name, 60) for name in kept.env_names if name not in known]
    if missing:
        raise LaunchError(
            f"{kept.run_id} was launched with the environment {', '.join(missing)}, whose values are not kept",
            hint=f"Give them again: {' '.join(f'--env {name}=...' for name in missing)}",
        )
    again = checked_launch(
        kept.code,
        first_line=kept.first_line,
        language=kept.language or "python",
        name=kept.name,
        timeout=kept.timeout,
        env=known,
        workdir=kept.workdir,
        params={**kept.params, **(params or {})},
        tags=kept.tags,
        rerun_of=kept.run_id,
        transform=_was_launched,
        kill_leftovers=kept.kill_leftovers,
        values=values,
        keep=kept.keep,
        notify=[*kept.terms.notify, *places] if kept.terms.notify else None,
    )
    terms = msgspec.structs.asdict(kept.terms) | {"notify": again.notify, "sweep_id": sweep_id}
    if sweep_id is None:
        terms["limit"] = None
    return msgspec.structs.replace(again, index=kept.sweep_index, **terms)


def _checked_name(name: str | None) -> str | None:
    line = one_line(name) if name else ""
    if len(line) > LONGEST_NAME:
        raise ValueError(f"a name of {len(line):,} characters can't be: use {LONGEST_NAME} at most")
    return line or None


def _was_launched(code: str) -> str:
    """What was launched once needs no look at what is in it."""
    return ""


def _packed(values: Mapping[str, Any] | Packed | None, keep: Sequence[str] | None, language: Language) -> Packed | None:
    """The variables that the code gets; where it gets none, but some are to be kept, that is to be told, too."""
    if not values:
        return Packed() if keep else None
    if language != "python":
        raise ValueError(f"only Python code gets variables, and this is {language}: use params, which are plain values")
    return values if isinstance(values, Packed) else pack_named(values, Notebook(values))


def _checked_keep(names: Sequence[str], language: Language) -> tuple[str, ...]:
    if names and language != "python":
        raise ValueError(f"only a Python cell has variables to keep, and this is {language}: let it write files")
    for name in names:
        if not name.isidentifier():
            raise ValueError(f"{printable(name, 60)!r} can't be a variable: use names, such as --out model,scores")
    return tuple(dict.fromkeys(names))


def _checked_callback(callback: Callback | None) -> Callback | None:
    try:
        parts = urlsplit(callback.url if callback else "https://none")
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_url = False
    if callback and not is_url:
        raise ValueError(f"{callback.url!r} can't be called: use a URL of the form https://HOST/PATH")
    return callback


def _checked_capture(word: str) -> Capture:
    for known in CAPTURES:
        if known == word:
            return known
    raise ValueError(f"output can't be captured by {word!r}: use {', '.join(CAPTURES)}")


def checked_sweep_limit(limit: int | None) -> int | None:
    """How many of a sweep may run at once, None for as many as the agent lets. Raises ValueError."""
    if limit is not None and limit < 1:
        raise ValueError(f"a limit of {limit} running at once can't be: use 1 or more")
    return limit


def new_sweep_id() -> str:
    """What the runs of a new sweep have in common."""
    return secrets.token_hex(4)


def _checked_amount(what: str, count: float, *, whole_above: float = math.inf) -> float:
    if not 0 <= count < math.inf or (count > whole_above and count != round(count)):
        parts = ", or a part of one such as 0.5" if whole_above < math.inf else ""
        raise ValueError(f"{count:g} {what} can't be: use a number of them{parts}")
    return float(count)


_SIZES: dict[str, int] = {
    "": 1,
    "b": 1,
    **{unit + end: 1000**n for n, unit in enumerate("kmgt", 1) for end in ("", "b")},
}
_SIZES |= {f"{unit}i{end}": 1024**n for n, unit in enumerate("kmgt", 1) for end in ("", "b")}


def parse_size(text: str | int) -> int:
    """The bytes of an amount of memory: a number, or a text such as `4GB`, `512MiB`. Raises ValueError."""
    found = re.fullmatch(r"\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([a-zA-Z]*)\s*", str(text), re.ASCII)
    if found is None or found[2].lower() not in _SIZES:
        raise ValueError(f"{printable(str(text), 40)!r} is no amount of memory: use 512MB, 4GB, 1.5GiB, or bytes")
    return round(float(found[1]) * _SIZES[found[2].lower()])


def _checked_bounds(bounds: str | Sequence[str]) -> tuple[str, ...]:
    texts = (bounds,) if isinstance(bounds, str) else bounds
    return tuple(dict.fromkeys(parse_bound(text).text for text in texts))


def _checked_retries(count: int) -> int:
    if not 0 <= count <= MOST_RETRIES:
        raise ValueError(f"{count} times again can't be: use 0 to {MOST_RETRIES:,}")
    return count


def _checked_fork(language: Language, options: LaunchOptions) -> dict[str, Any]:
    """What is said of a fork. Raises ValueError for what a fork can't be, or what only a fork can."""
    fork, threads = bool(options.get("fork", False)), options.get("threads")
    if threads is not None and not fork:
        raise ValueError("threads are those of OpenMP in a fork: use them with fork")
    if threads is not None and threads < 1:
        raise ValueError(f"{threads} threads can't be: use 1 or more")
    if fork and language != "python":
        raise ValueError(f"a fork of this program is Python, and this is {language}")
    if fork and options.get("retry"):
        raise ValueError("a fork can't be launched anew when it fails: the memory that it had is gone then")
    if fork and options.get("values"):
        raise ValueError("a fork has all variables: values are for what is no fork")
    return {"fork": fork, "threads": threads}


def _new_run_id() -> RunId:
    return RunId(secrets.token_hex(8))


def checked_language(language: str) -> Language:
    """The language of that name or alias. Raises ValueError that names all of them."""
    word = language.strip().lower()
    spoken = LANGUAGE_ALIASES.get(word, word)
    for known in LANGUAGES:
        if known == spoken:
            return known
    raise ValueError(f"no agent runs {language!r}: use {', '.join(LANGUAGES)}")


def _checked_first_line(number: int) -> int:
    if not 1 <= number <= MOST_LINES:
        raise ValueError(f"{number!r} can't be the number of the first line: use 1 to {MOST_LINES:,}")
    return number


def _checked_env(env: Mapping[str, str]) -> dict[str, str]:
    for name, value in env.items():
        if not name or "=" in name or "\0" in name + str(value):
            raise ValueError(f"{name!r} can't be an environment variable: use NAME=VALUE")
    return {name: str(value) for name, value in env.items()}


_TAG = re.compile(r"[^\W\d][\w.-]*")


def _checked_tags(tags: Mapping[str, str]) -> dict[str, str]:
    for name in tags:
        if not _TAG.fullmatch(name):
            raise ValueError(f"{printable(name, 60)!r} can't be the name of a tag: use letters, digits, and . _ -")
    return {name: printable(str(value)) for name, value in tags.items()}
