"""The live table as text: what there is no room for is left out or cut, and the name in its middle."""

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from hopx_magics.live.text import State, renderable
from tests.live.test_cases import row_of

ROWS = [
    row_of(
        id=f"proc_abcdefgh{seed}",
        name="train the model",
        status="running",
        began=1.0,
        started=1.0,
        progress=0.3,
        left=100,
        leftovers=0,
        last="loss: 0.123456 and more of a line that is long enough to need all of the room that there is",
        params={"lr": "0.1", "seed": str(seed)},
        metrics={"loss": 0.123456, "val loss": 34567.8},
    )
    for seed in range(2)
]


def lines(width: int, columns: list[str] | None = None) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    state = State(rows=ROWS, columns=columns, notes=[], nothing="", several=False, at=100.0)
    with console.capture() as captured:
        console.print(renderable(state, width=width))
    return captured.get().splitlines()


@pytest.mark.parametrize("width", [60, 80, 110, 200])
def test_every_width_has_whole_words(width: int) -> None:
    told = lines(width)
    assert max(map(cell_len, told)) <= width
    row = next(line for line in told if "seed=1" in line)
    assert row.split()[:2] == ["▸", "running"]
    assert "30 %, 2 min left" in row or width == 60
    assert ("proc_abcdefgh1" in row) == (width >= 110)


def test_metrics_and_what_was_given_are_told() -> None:
    row = next(line for line in lines(200) if "seed=1" in line)
    assert "train the model  lr=0.1 seed=1" in row
    assert row.split()[7:9] == ["0.1235", "34,568"]


def test_the_columns_that_were_asked_for_in_their_order() -> None:
    told = lines(110, ["metric.loss", "last", "param.seed"])
    assert told[1].split() == ["status", "name", "loss", "last", "line", "seed"]
    assert next(line for line in told if "seed=1" in line).split()[-1] == "1"
