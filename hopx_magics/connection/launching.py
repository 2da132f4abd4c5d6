"""Launching again, and many: in portions sent at once, of which an interrupt leaves none whose end is not known."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from ..errors import HopxError
from ..kept import KeptRun
from ..launches import checked_again
from ..models import Launch, Process
from ..protocol.replies import Launched
from ..protocol.requests import MANY
from ..values.packed import Packed
from .elsewhere import with_known_values

if TYPE_CHECKING:
    from .connection import Connection

LAUNCHED_AT_ONCE = 50
"""Launches that are sent with one request, at most: an agent takes some hundredths of a second for them."""

LARGE = 4_000_000
"""Characters of code and environment from which on no more is sent with the same request."""

ENDS_WITHIN = 1.0
"""Seconds for which an interrupt waits for what is under way."""

_Result = TypeVar("_Result")

_Answers = tuple[Sequence[Launched | BaseException], BaseException | None]


def again(
    connection: "Connection",
    kept: KeptRun,
    *,
    params: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    values: Packed | None = None,
    sweep_id: str | None = None,
) -> Launch:
    """The launch of the code of a kept run here, with some params and variables of its environment changed.

    It gets `values`, or what it got before, and may be one of a sweep. Raises LaunchError when its code or the value of
    a variable is not known, ValueError, AgentError.
    """
    known, places = connection.recorder.secrets(kept.run_id)
    env = {**known, **(env or {})}
    launch = checked_again(kept, params=params, env=env, values=values, places=places, sweep_id=sweep_id)
    if launch.notify and "notices" not in connection.agent.features():
        connection.remark(f"{connection.name} tells nobody how a run has ended: what is launched again has no --notify")
        launch = msgspec.structs.replace(launch, notify=None)
    return launch if values is not None else with_known_values(kept, connection.with_values_of(kept, launch))


def launch_again(connection: "Connection", kept: KeptRun, *, sweep_id: str | None = None, of: int = 1) -> Process:
    """Launches a kept run here again, as it was, maybe as one `of` so many of a sweep. Raises as `again`, `launch`."""
    launch = again(connection, kept, sweep_id=sweep_id)
    if launch.notify and sweep_id:
        launch = msgspec.structs.replace(launch, notify=msgspec.structs.replace(launch.notify, of=of))
    if launch.retries and "queue" not in connection.agent.features():
        connection.remark(f"{connection.name} launches nothing anew that fails: what is launched again has no --retry")
        launch = launch.once()
    return connection.launch(launch)


def launch_all(connection: "Connection", launches: Iterable[Launch]) -> Iterator[list[Process]]:
    """Launches in the order given, as they are taken: some at once where the agent knows that, or takes them so.

    Each is written down before it is sent. Raises LaunchError and AgentError; those before the one that failed are
    launched then, and were returned, and of those that were sent beside it, those that were launched.
    """
    for some in portions(map(connection.at_home, launches), _launched_at_once(connection)):
        answers, interrupt = _answers(connection, some)
        connection.recorder.answered(some, answers)
        told = list(zip(some, answers, strict=False))  # what is behind a refused one was not sent
        yield [connection.launched(launch, answer) for launch, answer in told if isinstance(answer, Launched)]
        errors = [answer for answer in answers if not isinstance(answer, Launched)]
        if interrupt or errors:
            raise interrupt or errors[0]


def _launched_at_once(connection: "Connection") -> int:
    try:
        return LAUNCHED_AT_ONCE if MANY in connection.agent.features() else connection.launched_side_by_side
    except HopxError:  # the launch itself will say what is wrong
        return 1


def _answers(connection: "Connection", launches: Sequence[Launch]) -> _Answers:
    """What became of launches that are sent together, and what interrupted that."""
    try:
        connection.recorder.begin(launches, connection.place)
        prepared = [connection.prepared(launch) for launch in launches]
        return uninterrupted(lambda: connection.agent.launch_many(prepared), at_once=len(launches) == 1)
    except BaseException as error:
        return [error] * len(launches), error


def portions(launches: Iterable[Launch], most: int) -> Iterator[list[Launch]]:
    """Those that are to be sent at once, `most` at most, and before the next one is taken. Raises as `launches` do."""
    some, size = list[Launch](), 0
    try:
        for launch in launches:
            some.append(launch)
            size += _size(launch)
            if len(some) == most or size >= LARGE:
                yield some
                some, size = [], 0
    except Exception:
        if some:
            yield some
        raise
    if some:
        yield some


def _size(launch: Launch) -> int:
    environment = launch.surroundings.environment if launch.surroundings else {}
    return len(launch.code) + sum(len(name) + len(value) for name, value in (launch.env | environment).items())


def uninterrupted(work: Callable[[], _Result], *, at_once: bool = False) -> tuple[_Result, KeyboardInterrupt | None]:
    """What `work` returns, and the interrupt that came meanwhile, which waits a moment for it unless `at_once`."""
    if at_once:
        return work(), None
    pool = ThreadPoolExecutor(1, "hopx-launch")
    answer = Future[_Result]()
    try:
        pool.submit(_settle, answer, work)  # an interrupt may come before this returns, when the work has begun
        return answer.result(), None
    except KeyboardInterrupt as interrupt:
        try:
            return answer.result(ENDS_WITHIN), interrupt
        except TimeoutError:
            raise interrupt from None
    finally:
        pool.shutdown(wait=False)


def _settle(answer: Future[_Result], work: Callable[[], _Result]) -> None:
    try:
        answer.set_result(work())
    except BaseException as error:
        answer.set_exception(error)
