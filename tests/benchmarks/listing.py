"""From the agent to the DataFrame, beside the vendor's SDK with pandas, on the same agent and with the same dtypes."""

from collections.abc import Iterator

import pandas as pd

from hopx_magics.display.frames import COLUMNS, processes_frame
from hopx_magics.session.session import Session
from hopx_magics.words import STATUSES

from .measure import Row, local_session, medians, ms

TARGETS = {(10, 200): "0.40", (1_000, 200): "0.42", (10_000, 200): "0.45", (1_000, 20_000): "0.60"}


def measure() -> Iterator[Row]:
    for (count, size), target in TARGETS.items():
        with local_session(HOPX_KEEP_FINISHED="20000", HOPX_MAX_RUNNING="16") as session:
            fill(session, count, size)
            yield from compare(session, count, size, target)


def fill(session: Session, count: int, size: int) -> None:
    """Leaves `count` finished processes with `size` bytes of output each."""
    line = "x" * 99
    code = f"i=0; while [ $i -lt {size // 100} ]; do echo {line}; i=$((i+1)); done"
    ids = [session.launch(code, language="bash", name=f"train-{number}").process_id for number in range(count)]
    session.wait({"local": ids})


def compare(session: Session, count: int, size: int, target: str) -> Iterator[Row]:
    from hopx_ai._agent_client import AgentHTTPClient

    session.listing(tail=0)
    endpoint = session.connection().agent.transport._endpoint
    assert endpoint is not None
    vendor = AgentHTTPClient(endpoint.url, jwt_token=endpoint.token)

    def ours(tail: int | None = None) -> pd.DataFrame:
        processes = session.listing(tail=tail).processes
        return processes_frame(processes, [("local", None)] * len(processes))

    def theirs() -> pd.DataFrame:
        return typed(vendor.get("/execute/processes", operation="list processes").json().get("processes", []))

    mine = ours().drop(columns=["connection", "progress"])
    pd.testing.assert_frame_equal(
        mine, theirs().assign(name=mine["name"])[list(mine.columns)], check_names=False
    )  # but for the mark of a launch, which the SDK shows
    a, b = medians(ours, theirs, rounds=9 if count * size > 1e6 else 25)
    yield Row(f"{count:,} processes with {size / 1000:g} kB", ms(a), f"SDK + pandas {ms(b)}", f"{a / b:.2f}", target)
    if size > 1000:
        a, b = medians(lambda: ours(0), theirs, rounds=9)
        yield Row("the same, tail=0", ms(a), f"SDK + pandas {ms(b)}", f"{a / b:.2f}", "0.10")


def typed(rows: list[dict[str, object]]) -> pd.DataFrame:
    """A plain DataFrame of the rows, with the dtypes of ours."""
    frame = pd.DataFrame(rows, columns=[name for name in COLUMNS if name not in ("connection", "progress")])
    frame["status"] = pd.Categorical(frame["status"], list(STATUSES), ordered=True)
    for name in ("started_at", "completed_at"):
        frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601").dt.as_unit("us")
    for name in ("exit_code", "pid"):
        frame[name] = frame[name].astype("Int64")
    frame["execution_time"] = frame["execution_time"].astype("float64")
    texts = ("process_id", "execution_id", "name", "language", "stdout", "stderr")
    return frame.astype(dict.fromkeys(texts, "str"))
