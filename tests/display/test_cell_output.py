"""What a cell has shown, as pages show it: harmless whatever it is."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopx_magics.display.cell_output import CellOutput
from hopx_magics.display.plain_html import plain_html

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<table><tr><td onclick=alert(1)><a href='javascript:alert(1)'>x</a></td></tr></table>",
    "<svg onload=alert(1)>",
    "<iframe src=x></iframe>",
    "<table><style>@import 'x'</style><form action=x><input></form></table>",
    "<td colspan='1\" onload=\"alert(1)'>x</td>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<!-- --><!DOCTYPE x><p>",
    "<![;",
    "</table></div><b>out",
]


def shown(html: str) -> str:
    return CellOutput([{"output_type": "display_data", "data": {"text/html": html}}])._repr_html_()


@pytest.mark.parametrize("html", HOSTILE)
def test_nothing_of_it_reaches_the_page(html: str) -> None:
    text = shown(html)
    assert text.startswith('<iframe sandbox=""') or not any(
        word in text
        for word in ("<script", "<img", "<svg", "<a", "<iframe", "<form", "<style", "onc", "onl", "javascript")
    )
    assert text.count('"') % 2 == 0


@given(st.text(alphabet="<>/tablerdscipt ='\"&;!-[]", max_size=60))
def test_what_is_written_anew_has_no_attribute_but_ours(html: str) -> None:
    written = plain_html(html)
    if written is not None:
        rest = written.replace(' class="dataframe" border="1"', "")
        tags = [part.split(">")[0] for part in rest.split("<")[1:]]
        assert all(tag.strip("/").replace("h1", "").isalpha() for tag in tags), written


def test_a_dataframe_is_a_table_of_the_page() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["<b>", "&"]})
    text = shown(frame._repr_html_())  # type: ignore[operator]
    assert text.count("<tr") == 3
    assert "<td>&lt;b&gt;</td>" in text
    assert "iframe" not in text
    grouped = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_product([["x"], ["a", "b"]]))
    assert 'colspan="2"' in shown(grouped._repr_html_())  # type: ignore[operator]


def test_a_styled_one_keeps_its_looks_in_a_frame() -> None:
    pytest.importorskip("jinja2")
    assert "<iframe" in shown(pd.DataFrame({"a": [1]}).style.format(precision=1).highlight_max().to_html())


def test_markdown_is_written_anew_without_the_html_in_it() -> None:
    text = "# Loss\n\n**low** <img src=x onerror=alert(1)> [docs](https://a.org/?b=1&c) [x](javascript:alert(1))\n\n"
    text += "---\n\n| a | b |\n|--:|---|\n| 1 | <script>x</script> |\n\n```python\nprint(1)\n```\n"
    written = CellOutput([{"output_type": "display_data", "data": {"text/markdown": text}}])._repr_html_()
    assert "<h1>Loss</h1>" in written
    assert "<strong>low</strong> &lt;img src=x" in written
    assert '<a href="https://a.org/?b=1&amp;c" target="_blank" rel="noopener noreferrer">docs</a>' in written
    assert "<td>&lt;script&gt;x&lt;/script&gt;</td>" in written
    assert written.count("<a ") == 1
    assert "<pre><code>print(1)" in written


def test_what_only_says_what_it_is_of_is_shown_by_its_source() -> None:
    data = {"text/plain": "<IPython.core.display.Math object>", "text/latex": "$x^2$"}
    assert repr(CellOutput([{"output_type": "display_data", "data": data}])) == "$x^2$"


def test_a_frame_may_not_speak_to_anybody() -> None:
    written = shown("<form action='https://a.org'><input></form>")
    assert 'sandbox=""' in written
    assert "default-src &#x27;none&#x27;" in written
