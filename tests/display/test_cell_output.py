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
