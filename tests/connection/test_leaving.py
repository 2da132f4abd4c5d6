"""What the history keeps of displays: as they are in the end, and within its limit."""

import copy
import random
from collections.abc import Mapping
from typing import Any

import msgspec

from hopx_magics.connection.leaving import cell_to_keep
from hopx_magics.kept import KeptCell, KeptOutput
from hopx_magics.results import Index, KeptValue, Results, as_outputs, decoded


class Files:
    """What a cell has left, in memory."""

    def __init__(self, displays: list[dict[str, Any]], index: Index) -> None:
        self._files = {
            "displays": b"".join(msgspec.json.encode(display) + b"\n" for display in displays),
            "kept": msgspec.json.encode(index),
        }

    def read(self, name: str, *, start: int = 0, most: int) -> bytes | None:
        return self._files[name][start : start + most]

    def parts(self, name: str, sizes: Any) -> list[memoryview]:
        raise AssertionError("nothing is loaded")


def kept(displays: list[dict[str, Any]], *, limit: int = 1_000_000, stdout: bytes = b"", **index: Any) -> KeptCell:
    streams = {"stdout": KeptOutput(head=stdout, tail=b"", size=len(stdout))}
    return cell_to_keep(Results(Files(displays, Index(**index)), "it"), streams, limit, no_seal)


def no_seal(files: Mapping[str, bytes]) -> bytes:
    raise AssertionError("who has written this?")


def records(cell: KeptCell) -> list[dict[str, Any]]:
    return [record for line in cell.files.get("displays", b"").splitlines() if (record := decoded(line))]


def display(text: str, at: int = 0, kind: str = "display_data", **transient: Any) -> dict[str, Any]:
    data = {"text/plain": text}
    return {"output_type": kind, "data": data, "metadata": {}, "transient": transient, "at": [at, 0]}


def test_many_updates_are_kept_as_what_became_of_them() -> None:
    written = b"before\nold\nafter\n"
    updates = [display(f"{n} %", 17, "update_display_data", display_id="bar") for n in range(1000)]
    cell = kept([display("old", 11, display_id="bar"), *updates, display("other", 17)], stdout=written)
    assert cell.displays == 2
    assert len(cell.files["displays"]) < 500
    shown = [
        output.get("text") or output["data"]["text/plain"] for output in as_outputs({"stdout": written}, records(cell))
    ]
    assert shown == ["before\n", "999 %", "after\n", "other"]


def test_what_was_cleared_is_not_kept() -> None:
    cleared = {"output_type": "clear_output", "at": [4, 0]}
    cell = kept([display("gone", 4), cleared, display("there", 9)], stdout=b"gone\nthere")
    assert cell.displays == 1
    assert [output["data"]["text/plain"] for output in as_outputs({}, records(cell))] == ["there"]


def a_cell(choose: random.Random) -> tuple[list[dict[str, Any]], bytes]:
    """The displays of some cell, and what it has written."""
    displays, written = [], b""
    for number in range(choose.randrange(1, 12)):
        what, identity = choose.randrange(7), {"display_id": choose.choice("ab")}
        text = f"display {number}"
        if what <= 1:
            written += f"text {number}\n".encode()
        elif what == 2:
            displays.append(display(text, len(written), "update_display_data", **identity))
        elif what <= 4:
            displays.append({"output_type": "clear_output", "wait": what == 3, "at": [len(written), 0]})
        else:
            written += f"{text}\n".encode()
            displays.append(display(text, len(written), **(identity if what == 5 else {})))
    return displays, written


def test_what_is_shown_is_the_same_as_if_all_were_kept() -> None:
    choose = random.Random(1)
    for _ in range(1000):
        displays, written = a_cell(choose)
        cell = kept(displays, stdout=written)
        streams = {"stdout": written}
        shown = as_outputs(streams, copy.deepcopy(displays))
        assert as_outputs(streams, records(cell)) == shown
        assert cell.displays == len([output for output in shown if output["output_type"] != "stream"])


def test_much_that_is_cleared_takes_no_room() -> None:
    clears = [{"output_type": "clear_output", "wait": True, "at": [place, 0]} for place in range(10_000)]
    assert kept(clears).size < 200


def test_without_room_the_oldest_become_texts_that_say_so() -> None:
    pictures = [display("<Figure>") | {"data": {"text/plain": "<Figure>", "image/png": "A" * 4000}} for _ in range(5)]
    cell = kept(pictures, limit=10_000)
    assert (cell.displays, len(records(cell))) == (5, 5)
    assert ["image/png" in record["data"] for record in records(cell)] == [False, False, False, True, True]
    assert "of 4.12 kB, for which the history has no room" in records(cell)[0]["data"]["text/plain"]
    assert cell.size <= 10_000
    cell = kept([display("x" * 50)] * 10_000, limit=10_000)
    assert cell.displays == 10_000
    assert 0 < cell.size <= 10_000


def test_their_places_are_those_in_the_text_that_is_kept() -> None:
    streams = {"stdout": KeptOutput(head=b"head", tail=b"tail", size=1_000)}
    places = [2, 500, 998]
    files = Files([display(str(at), at) for at in places], Index())
    cell = cell_to_keep(Results(files, "it"), streams, 10_000, no_seal)
    text = streams["stdout"].text
    assert [text[: record["at"][0]][-2:] for record in records(cell)] == ["he", "]\n", "ta"]


def test_only_what_can_be_a_display_or_a_variable_is_kept() -> None:
    odd: list[Any] = [
        {"output_type": "display_data", "data": [1], "at": [0, 0]},
        {"output_type": "display_data", "data": {}, "at": [-1, 0]},
        {"output_type": "error", "traceback": "no list", "at": [0, 0]},
        {"output_type": "update_display_data", "transient": {"display_id": "x"}, "at": [0, 0]},
        {"output_type": "nonsense", "at": [0, 0]},
        display("x", display_id={"no": "text"}),
    ]
    value = KeptValue(type="int", module="builtins", size=5)
    names = {"x": value, "\x1b]0;title\x07": value, "a b": value, "y" * 10_000: value}
    cell = kept(odd, values=names, missing=["z", "<script>"], result=value)
    assert [record["data"]["text/plain"] for record in records(cell)] == ["x"]
    assert [fact.name for fact in cell.left.values] == ["x"]
    assert cell.left.missing == ("z",)
    assert cell.left.result is not None
    assert cell.left.result.in_words() == "int, 5 bytes"
