"""In what two kept runs differ, as a person sees it."""

import re
from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopx_magics.display.diff_page import Differences
from hopx_magics.kept import KeptOutput, KeptRun
from hopx_magics.words import Stream
from tests.display.pages import (
    HOSTILE,
    NOW,
    check_that_nothing_acts,
    hostile_fields,
    kept_output,
    kept_run,
    page_of,
    text_in,
    without_colours,
)


def differences(a: KeptRun, b: KeptRun) -> Differences:
    """Of two runs that wrote the same, but for what `a` and `b` say."""
    outputs: dict[Stream, KeptOutput] = {"stdout": kept_output("done\n"), "stderr": kept_output("")}
    return Differences(a, b, outputs, outputs, now=NOW)


def differing_codes(a: str, b: str) -> Differences:
    return differences(kept_run(code=a), kept_run(code=b))


def differing_outputs(a: str, b: str) -> Differences:
    return Differences(kept_run(), kept_run(), {"stdout": kept_output(a)}, {"stdout": kept_output(b)}, now=NOW)


def rows_of(shown: Differences) -> dict[str, tuple[str, str]]:
    """The rows of the page's tables: what is compared, and how it is with A and with B."""
    rows = re.findall(r"<tr[ >](?:(?!</tr>).)*<td.*?</tr>", page_of(shown))
    return {text_in(row, "th")[0]: (text_in(row, "td")[0], text_in(row, "td")[1]) for row in rows}


def lines_of(shown: Differences) -> list[str]:
    """The lines of the one text on the page."""
    (text,) = text_in(page_of(shown), "pre")
    return text.split("\n")


# ---------------------------------------------------------------- facts, parameters, tags


def test_the_first_lines_tell_how_both_stand() -> None:
    shown = differences(kept_run(), kept_run(name="again", status="running"))
    first, second, *_ = str(shown).splitlines()
    assert first == "A  ✗ failed after 3 min, exit 1  train  proc_1 on local"
    assert second == "B  ▸ running, as last seen 3 min ago  again  proc_1 on local"
    assert without_colours(shown.as_terminal()) == str(shown)
    assert "✗ failed after 3 min, exit 1" in text_in(page_of(shown), "span")


def test_facts_that_differ() -> None:
    other = kept_run(
        name=None, status="completed", exit_code=0, language="bash", workdir="/tmp", timeout=60, connection="gpu",
        sandbox="176", version="1.3", env_names=("B", "C"),
    )  # fmt: skip
    assert rows_of(differences(kept_run(env_names=("A", "B")), other)) == {
        "name": ("train", "—"),
        "state": ("failed, exit 1", "completed"),
        "language": ("python", "bash"),
        "folder": ("/work", "/tmp"),
        "time limit": ("—", "1 min"),
        "connection": ("local", "gpu (sandbox 176)"),
        "version": ("hopx_magics 1.2", "hopx_magics 1.3"),
        "environment": ("A", "C"),
        "running time": ("3 min", "3 min: the same"),
    }


def test_the_text_has_the_rows_of_the_page() -> None:
    shown = differences(kept_run(params={"lr": 0.1}), kept_run(params={"lr": 0.2}, version="2"))
    for label, (a, b) in rows_of(shown).items():
        assert re.search(rf"^{label} +{re.escape(a)}  +{re.escape(b)}$", str(shown), re.MULTILINE)


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (3.0, 9.0, "9.0 s: 6.0 s longer, 3.0 times as long"),
        (9.0, 3.0, "3.0 s: 6.0 s shorter, 0.33 times as long"),
        (2.0, 7202.0, "2 h: 2 h longer, 3,601.0 times as long"),
        (0.0, 3.0, "3.0 s: 3.0 s longer"),
        (3.0, 3.01, "3.0 s: the same"),
        (None, 3.0, "3.0 s"),
        (3.0, None, "—"),
    ],
)
def test_running_times(a: float | None, b: float | None, words: str) -> None:
    shown = differences(kept_run(execution_time=a), kept_run(execution_time=b))
    assert rows_of(shown)["running time"][1] == words


def test_the_time_of_what_goes_on_is_not_compared() -> None:
    shown = differences(kept_run(), kept_run(status="running", exit_code=None, execution_time=9.0))
    assert rows_of(shown)["running time"] == ("3 min", "9 s when last seen")
    assert "running time" not in rows_of(differences(kept_run(execution_time=None), kept_run(execution_time=None)))


def test_parameters_and_tags_that_differ() -> None:
    a = kept_run(params={"lr": 0.1, "one": 1, "same": [1, 2], "gone": "x"}, tags={"stage": "a", "note": ""})
    b = kept_run(params={"lr": "0.1", "one": True, "same": [1, 2], "new": None}, tags={"stage": "b"})
    shown = differences(a, b)
    assert rows_of(shown).items() >= {
        "lr": ("0.1", '"0.1"'),
        "one": ("1", "true"),
        "gone": ('"x"', "—"),
        "new": ("—", "null"),
        "stage": ("a", "b"),
        "note": ("", "—"),
    }.items()  # fmt: skip
    assert "same" not in rows_of(shown)
    assert "── parameters, 1 other is the same ──" in str(shown)
    assert "── tags ──" in str(shown)


def test_equal_nans_are_equal() -> None:
    a, b = kept_run(params={"x": float("nan")}), kept_run(params={"x": float("nan")})
    assert "parameters" not in str(differences(a, b))


def test_long_values_are_shown_where_they_differ() -> None:
    begin = "/data/" + "x" * 1000
    shown = differences(kept_run(workdir=f"{begin}/one"), kept_run(workdir=f"{begin}/two"))
    assert rows_of(shown)["folder"] == ("…xxxxxxxxx/one", "…xxxxxxxxx/two")


# ---------------------------------------------------------------- code


def test_code_that_differs() -> None:
    before = [f"line {number}" for number in range(1, 31)]
    after = [*before[:9], "ten", *before[10:], "line 31"]
    shown = differing_codes("\n".join(before) + "\n", "\n".join(after) + "\n")
    expected = [
        "@@ -7,7 +7,7 @@", " line 7", " line 8", " line 9", "-line 10", "+ten", " line 11", " line 12", " line 13",
        "@@ -28,3 +28,4 @@", " line 28", " line 29", " line 30", "+line 31",
    ]  # fmt: skip
    assert lines_of(shown) == expected
    assert "\n".join(["── code ──", *expected]) in str(shown)
    assert "\x1b[31m-line 10\x1b[0m\n\x1b[32m+ten\x1b[0m" in shown.as_terminal()
    assert re.search(r'<span style="[^"]*background:[^"]*">-line 10</span>\n<span', page_of(shown))


def test_line_ends_that_differ_are_seen() -> None:
    assert lines_of(differing_codes("a\r\n", "a\n")) == ["@@ -1,1 +1,1 @@", "-a␍", "+a"]


def test_same_and_unknown_texts() -> None:
    assert "\nthe same: code, stdout, stderr, name, state, language, folder, connection" in str(
        differences(kept_run(), kept_run(version="2"))
    )
    unknown = kept_run(code=None)
    assert str(differences(kept_run(), unknown)).endswith("not known: code of B")
    assert str(differences(unknown, kept_run())).endswith("not known: code of A")
    nothing = Differences(unknown, unknown, {"stdout": kept_output("")}, {}, now=NOW)
    assert str(nothing).endswith(
        "as far as is known, the runs do not differ, but for their times\n\n"
        "not known: code of both, stdout of B, stderr of both"
    )


def test_runs_that_do_not_differ() -> None:
    shown = differences(kept_run(), kept_run(execution_time=200.0, run_id="run_2", launched_at=None))
    assert str(shown).endswith("\n\nthe runs do not differ, but for their times")
    assert list(rows_of(shown)) == ["running time"]


def patched(lines: list[str], patch: list[str]) -> list[str]:
    """The lines after a patch, as the tool of that name makes them."""
    result, position = [], 0
    for line in patch:
        if found := re.fullmatch(r"@@ -(\d+),\d+ \+\d+,\d+ @@", line):
            start = int(found[1]) - 1
            result += lines[position:start]
            position = start
        elif line[0] == "+":
            result.append(line[1:])
        else:
            assert lines[position] == line[1:]
            result += [line[1:]] if line[0] == " " else []
            position += 1
    return result + lines[position:]


few_lines = st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=1, max_size=40)


@given(few_lines, few_lines)
def test_a_difference_is_a_patch(a: list[str], b: list[str]) -> None:
    if a != b:
        a, b = [*a, "end"], [*b, "end"]
        assert patched(a, lines_of(differing_codes("\n".join(a), "\n".join(b)))) == b


def test_few_changes_in_long_code_are_found() -> None:
    code = [f"step({number})" for number in range(50_000)]
    shown = differing_codes("\n".join(code), "\n".join([*code[:9], "new", *code[10:-9], *code[-8:]]))
    assert [line for line in lines_of(shown) if line[0] != " "] == [
        "@@ -7,7 +7,7 @@", "-step(9)", "+new", "@@ -49989,7 +49989,6 @@", "-step(49991)",
    ]  # fmt: skip


NUMBERS = range(50_000)


def test_one_change_among_lines_that_come_up_again_and_again_is_found() -> None:
    code = [f"{number * number % 997}" for number in NUMBERS]
    for place in (0, 25_000, 49_999):
        changed = lines_of(differing_codes("\n".join(code), "\n".join([*code[:place], "new", *code[place + 1 :]])))
        assert [line for line in changed if line[0] in "+-"] == [f"-{code[place]}", "+new"]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (map(str, NUMBERS), (f"{number}" if number % 2 else f"-{number}" for number in NUMBERS)),
        ((f"{number * number % 997}" for number in NUMBERS), (f"{number**3 % 997}" for number in NUMBERS)),
    ],
    ids=["every other line", "few different lines"],
)
def test_what_takes_too_long_to_compare_is_shown_as_changed(a: Iterable[str], b: Iterable[str]) -> None:
    shown = differing_codes("\n".join(a), "\n".join(b))
    assert "── code, so long that not all that is the same was found; " in str(shown)
    assert " lines after these are not shown ──" in str(shown)
    assert len(lines_of(shown)) == 400


# ---------------------------------------------------------------- output


def test_outputs_that_differ() -> None:
    a = "".join(f"step {number}\n" for number in range(500))
    shown = differing_outputs(a, a.replace("step 490\n", "\x1b[31mSTEP\x1b[0m 490\n").replace("step 10\n", ""))
    assert lines_of(shown) == [
        "⋯", " step 487", " step 488", " step 489", "-step 490", "+STEP 490", " step 491", " step 492", " step 493",
    ]  # fmt: skip
    assert "── stdout, of the last 200 lines ──" in str(shown)


def test_of_outputs_that_differ_everywhere_the_end_is_shown() -> None:
    a, b = ("".join(f"{word} {number}\n" for number in range(100)) for word in ("old", "new"))
    shown = differing_outputs(a, b)
    assert lines_of(shown) == [f"+new {number}" for number in range(40, 100)]
    assert "── stdout, 140 lines before these are not shown ──" in str(shown)


def test_outputs_that_differ_from_their_beginning() -> None:
    assert lines_of(differing_outputs("a\nb\n", "a\nc\n")) == [" a", "-b", "+c"]


def test_outputs_that_look_the_same() -> None:
    shown = differing_outputs("10%\r100%\n", "20%\r100%\n")
    assert "stdout differs, but not in what is seen of its last 200 lines" in str(shown)
    assert "<pre" not in page_of(shown)


def test_huge_outputs() -> None:
    shown = differing_outputs("a" * 10_000_000, "b\n" * 5_000_000)
    assert len(page_of(shown)) < 20_000
    assert lines_of(shown)[-1] == "+b"


def test_huge_code() -> None:
    shown = differing_codes("a" * 10_000_000, "b" * 10_000_000)
    assert len(page_of(shown)) < 20_000
    assert lines_of(shown) == ["@@ -1,1 +1,1 @@", f"-{'a' * 2000}…[cut]", f"+{'b' * 2000}…[cut]"]


# ---------------------------------------------------------------- hostile input


@pytest.mark.parametrize("other", [kept_run(), kept_run(name=None, code=f"{HOSTILE}\n{HOSTILE}", params={HOSTILE: 1})])
def test_nothing_that_is_shown_acts(other: KeptRun) -> None:
    outputs: Mapping[Stream, KeptOutput] = {"stdout": kept_output(HOSTILE.replace("\ud800", "\n"))}
    hostile = kept_run(**dict(hostile_fields()))
    check_that_nothing_acts(Differences(hostile, other, outputs, {"stdout": kept_output("")}, now=NOW))
    check_that_nothing_acts(Differences(other, hostile, {"stdout": kept_output("")}, outputs, now=NOW))
