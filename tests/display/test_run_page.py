"""What a person sees of one kept run: as text, in a terminal's colours, and as HTML."""

import re
from collections.abc import Mapping
from datetime import timedelta

import pytest

from hopx_magics.display import coloured
from hopx_magics.display.run_page import Shown
from hopx_magics.kept import KeptOutput
from hopx_magics.values.facts import Fact, Left
from hopx_magics.words import Stream
from tests.display.pages import (
    CODE,
    HOSTILE,
    NOW,
    SHOWN_TAGS,
    Tags,
    check_that_nothing_acts,
    hostile_fields,
    kept_output,
    kept_run,
    page_of,
    text_in,
    without_colours,
)


def facts_of(shown: Shown) -> dict[str, str]:
    """The facts as the page has them."""
    page = page_of(shown)
    return dict(zip(text_in(page, "th"), text_in(page, "td"), strict=True))


# ---------------------------------------------------------------- state and facts


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, "✗ failed after 3 min, exit 1  train  proc_1 on local"),
        ({"status": "completed", "exit_code": 0, "name": None}, "✓ completed in 3 min  unnamed  proc_1 on local"),
        ({"status": "running", "exit_code": None}, "▸ running, as last seen 3 min ago  train  proc_1 on local"),
        (
            {"status": "queued", "process_id": None, "seen_at": None},
            "◌ queued, as last seen  train  run_1 on local",
        ),
        (
            {"status": "running", "seen_at": NOW + timedelta(minutes=1)},
            "▸ running, as last seen 0 s ago  train  proc_1 on local",
        ),
        (
            {"status": "unknown", "status_detail": "the agent no longer lists it"},
            "? unknown (the agent no longer lists it), as last seen 3 min ago  train  proc_1 on local",
        ),
    ],
)
def test_the_first_line_tells_how_it_stands(fields: Mapping[str, object], state: str) -> None:
    shown = Shown(kept_run(**fields), {}, now=NOW)
    assert str(shown).splitlines()[0] == state
    assert without_colours(shown.as_terminal()).splitlines()[0] == state
    assert state.split("  ")[0] in text_in(page_of(shown), "span")


def test_facts_and_no_empty_ones() -> None:
    launched, started = NOW - timedelta(hours=1, seconds=12), NOW - timedelta(hours=1)
    assert facts_of(Shown(kept_run(), {}, now=NOW)) == {
        "run id": "run_1",
        "process id": "proc_1",
        "connection": "local",
        "launched": f"{launched.astimezone():%Y-%m-%d %H:%M:%S %Z}",
        "queued for": "12 s",
        "started": f"{started.astimezone():%Y-%m-%d %H:%M:%S %Z}",
        "ended": f"{NOW.astimezone() - timedelta(minutes=57):%Y-%m-%d %H:%M:%S %Z}",
        "running time": "3 min",
        "exit code": "1",
        "language": "python",
        "folder": "/work",
        "version": "hopx_magics 1.2",
    }


def test_all_that_a_run_can_have() -> None:
    run = kept_run(
        execution_id="exec_1", pid=7, sandbox="176", connection="gpu", timeout=7200, env_names=("A", "B"),
        notebook="n.ipynb", cell="c1", sweep_id="s1", rerun_of="run_0", status="running", exit_code=None,
        params={"lr": 0.1, "text": "0.1", "layers": [64, 32], "none": None, "u": "ü"}, tags={"stage": "final"},
    )  # fmt: skip
    facts = facts_of(Shown(run, {}, now=NOW))
    assert facts.items() >= {
        "execution id": "exec_1", "pid": "7", "connection": "gpu (sandbox 176)", "time limit": "2 h",
        "environment": "A, B", "notebook": "n.ipynb", "cell": "c1", "sweep": "s1", "rerun of": "run_0",
        "running time": "3 min when last seen", "lr": "0.1", "text": '"0.1"', "layers": "[64, 32]", "none": "null",
        "u": '"ü"', "stage": "final",
    }.items()  # fmt: skip
    assert "exit code" not in facts
    assert "last seen" in facts


def test_the_text_has_the_facts_of_the_page() -> None:
    shown = Shown(kept_run(params={"lr": 0.1}, tags={"stage": "final"}), {}, now=NOW)
    for label, value in facts_of(shown).items():
        assert re.search(rf"^{label} +{re.escape(value)}$", str(shown), re.MULTILINE)


def test_clocks_that_differ_make_no_time_in_the_queue() -> None:
    assert "queued for" not in facts_of(Shown(kept_run(launched_at=NOW), {}, now=NOW))


# ---------------------------------------------------------------- code


@pytest.mark.parametrize(
    ("language", "code", "keyword"),
    [
        ("python", CODE, "def"),
        ("py", CODE, "def"),
        ("bash", "for i in 1 2; do\n\techo $i # count\ndone", "for"),
        ("javascript", "const a = 'b' /* why */\n", "const"),
        ("go", 'package main\n\nfunc main() { println("a") }\n', "package"),
    ],
)
def test_code_has_colours_and_can_be_copied(language: str, code: str, keyword: str) -> None:
    shown = Shown(kept_run(language=language, code=code), {}, now=NOW)
    (copied,) = text_in(page_of(shown), "pre")
    assert copied == code.removesuffix("\n")
    assert re.search(
        rf'<span style="color:var\(--jp-mirror-editor-keyword-color,#\w+\)[^"]*">{keyword}<', page_of(shown)
    )
    assert f"\x1b[1;32m{keyword}\x1b[0m" in shown.as_terminal()
    assert code.removesuffix("\n") in str(shown)
    assert "\x1b" not in str(shown)


def test_code_in_another_language_is_plain() -> None:
    shown = Shown(kept_run(language="cobol", code="def IS <b>"), {}, now=NOW)
    assert ">def IS &lt;b&gt;</pre>" in page_of(shown)
    assert "cobol, 1 line" in str(shown)


def test_code_that_takes_a_lexer_too_long_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coloured, "COLOURED_WITHIN", -1)
    shown = Shown(kept_run(), {}, now=NOW)
    assert "keyword" not in page_of(shown)
    assert text_in(page_of(shown), "pre") == [CODE.removesuffix("\n")]


def test_more_code_than_is_worth_it_has_no_colours() -> None:
    code = "def f(): pass\n" * 1000
    assert "keyword" in page_of(Shown(kept_run(code=code), {}, now=NOW))
    long = Shown(kept_run(code=code + "#" * 2000 + ("\n" + "#" * 2000) * 20), {}, now=NOW)
    assert "keyword" not in page_of(long)


def test_long_code_is_shown_in_part() -> None:
    code = "\n".join(f"step({number})" for number in range(50_000))
    shown = Shown(kept_run(code=code), {}, now=NOW)
    assert "python, 50,000 lines: the first 2,000; %hopx_history --code has them all" in str(shown)
    (part,) = text_in(page_of(shown), "pre")
    assert part == "\n".join(code.split("\n")[:2000])


def test_code_that_is_not_known() -> None:
    elsewhere = Shown(kept_run(code=None, launched_here=False), {}, now=NOW)
    assert "its code is not known: it was not launched from this machine" in str(elsewhere)
    assert "its code is not known: it was" in page_of(elsewhere)
    assert str(Shown(kept_run(code=None), {}, now=NOW)).count("its code is not known\n") == 1


# ---------------------------------------------------------------- output


def test_both_streams_end_with_their_last_lines() -> None:
    outputs: dict[Stream, KeptOutput] = {
        "stderr": kept_output("oops\n"),
        "stdout": kept_output("".join(f"step {number}\n" for number in range(1, 121))),
    }
    shown = Shown(kept_run(), outputs, now=NOW)
    _, stdout, stderr = text_in(page_of(shown), "pre")
    assert stdout.split("\n") == [f"step {number}" for number in range(71, 121)]
    assert stderr == "oops"
    assert "stdout, 70 lines before these: .stdout has them" in str(shown)
    assert str(shown).endswith("step 120\n\n── stderr ──\noops")


def test_lines_before_the_end_are_counted() -> None:
    def note(lines: int) -> str:
        (found,) = re.findall(
            "── stdout(.*) ──", str(Shown(kept_run(), {"stdout": kept_output("line\n" * lines)}, now=NOW))
        )
        return str(found)

    assert note(50) == ""
    assert note(51) == ", 1 line before these: .stdout has them"
    assert note(400_000) == ", 399,950 lines before these: .stdout has them"


def test_an_empty_stream_is_not_shown() -> None:
    shown = Shown(kept_run(), {"stdout": kept_output(""), "stderr": kept_output("oops")}, now=NOW)
    assert "stdout" not in str(shown)
    assert str(shown).endswith("── stderr ──\noops")


def test_output_looks_as_in_a_terminal() -> None:
    written = (
        "50%\r100%\n\x1b[31mred\x1b[0m \x1b[7mturned\x1b[0m \x1b[38;5;208;1mbold\x1b[0m "
        "\x1b[42mon green\x1b[0m \x1b[7;33mblack\x1b[0m\n"
    )
    shown = Shown(kept_run(code=None), {"stdout": kept_output(written)}, now=NOW)
    page = page_of(shown)
    assert text_in(page, "pre") == ["100%\nred turned bold on green black"]
    assert '<span style="color:color-mix(in srgb,var(--jp-error-color1,#d84343) 65%,currentcolor)">red</span>' in page
    assert '<span style="background:rgba(128,128,128,.35)">turned</span>' in page
    assert '<span style="color:#ff8700;font-weight:bold">bold</span>' in page
    assert '<span style="background:#2b8a3e;color:#fff">on green</span>' in page
    assert '<span style="background:#96751a;color:#fff">black</span>' in page
    assert "\x1b[31mred\x1b[0m" in shown.as_terminal()
    assert "100%\nred turned bold on green black" in str(shown)


def test_what_is_not_kept_of_a_stream_is_counted() -> None:
    long = KeptOutput(head=b"begin\n", tail=b"end\n" * 60, size=1_000_246)
    shown = Shown(kept_run(), {"stdout": long}, now=NOW)
    assert "stdout, 13 lines before these, and 1,000,000 bytes that are not kept" in str(shown)
    short = KeptOutput(head=b"begin\n", tail=b"end\n", size=1_000_010)
    assert "begin\n\n[1,000,000 bytes are left out here" in str(Shown(kept_run(), {"stdout": short}, now=NOW))


@pytest.mark.parametrize(
    ("status", "outputs", "note"),
    [
        ("failed", {}, "its output is not kept"),
        ("running", {}, "its output is kept when it has ended"),
        ("failed", {"stdout": kept_output(""), "stderr": kept_output("")}, "it wrote no output"),
    ],
)
def test_no_output(status: str, outputs: Mapping[Stream, KeptOutput], note: str) -> None:
    shown = Shown(kept_run(status=status), outputs, now=NOW)
    assert str(shown).endswith(f"\n\n{note}")
    assert f">{note}</div>" in page_of(shown)


# ---------------------------------------------------------------- hostile input


@pytest.mark.parametrize("language", ["python", "bash", "javascript", "go", HOSTILE])
@pytest.mark.parametrize("status", ["failed", "unknown"])
def test_nothing_that_is_shown_acts(status: str, language: str) -> None:
    run = kept_run(**dict(hostile_fields()), status=status, language=language)
    outputs: dict[Stream, KeptOutput] = {
        "stdout": kept_output(HOSTILE.replace("\ud800", "")),
        "stderr": KeptOutput(head=b"\xff\xfe\x1b[31m" + b"<script>", tail=b"", size=13),
    }
    check_that_nothing_acts(Shown(run, outputs, now=NOW))


def test_nothing_that_a_cell_has_shown_or_left_acts() -> None:
    text = HOSTILE.replace("\ud800", "")
    kinds = ("text/plain", "text/html", "text/markdown", "text/latex", "image/svg+xml", "image/png", text)
    shown = [
        *({"output_type": "display_data", "data": {kind: text}, "metadata": {kind: {"width": text}}} for kind in kinds),
        {"output_type": "error", "ename": text, "evalue": text, "traceback": [text]},
        {"output_type": "stream", "name": "stdout", "text": text},
    ]
    facts = (Fact("x", text, 7, text, text),)
    run = kept_run(values_in=facts, left=Left(facts[0], facts, ("y",)))
    page = Shown(run, {}, shown=shown, now=NOW)
    for each in (str(page), without_colours(page.as_terminal())):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028]", each)
    tags = Tags(
        re.sub('<img alt="figure" style="[^"]*" src="data:image/svg[+]xml;base64,[A-Za-z0-9+/=]*">', "", page_of(page))
    )
    assert tags.open == []
    assert tags.seen <= SHOWN_TAGS | {"p", "iframe"}
    assert tags.attributes <= {"style", "class", "open", "scope", "title", "sandbox", "srcdoc"}


def test_what_would_hide_in_code_is_seen() -> None:
    shown = Shown(kept_run(code="safe()\rrm()\u202e#\u200b"), {}, now=NOW)
    assert "safe()␍rm()[U+202E]#[U+200B]" in str(shown)
    assert "👩\u200d🚀" in str(Shown(kept_run(code="'👩\u200d🚀'"), {}, now=NOW))


def test_huge_lines_are_cut() -> None:
    line = "x" * 10_000_000
    run = kept_run(code=line, params={"p": line}, tags={line: "t"}, workdir=line)
    shown = Shown(run, {"stdout": kept_output(line), "stderr": kept_output(f"\x1b[31m{line}")}, now=NOW)
    assert len(str(shown)) < 10_000
    assert len(page_of(shown)) < 20_000
    assert str(shown).count("x…[cut]\n") == 2
    assert str(shown).endswith("x…[cut]")


def test_the_page_can_be_read_without_its_styles() -> None:
    outputs: dict[Stream, KeptOutput] = {"stdout": kept_output("one\ntwo\n")}
    page = re.sub(r' style="[^"]*"', "", page_of(Shown(kept_run(), outputs, now=NOW)))
    assert '<tr><th scope="row">run id</th><td>run_1</td></tr>' in page
    assert "<summary><b>stdout</b></summary><pre><span>one\ntwo</span></pre>" in page
