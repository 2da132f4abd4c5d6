"""A background cell in a page: the line that lives, and below it what the cell shows, which can't reach the page."""

import re
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import OpenNotebook, Shots

SETUP = """%load_ext hopx_magics
import pandas as pd
sales = pd.DataFrame({"month": range(1, 7), "spent": [3, 4, 4, 6, 7, 9], "earned": [2, 5, 8, 13, 15, 21]})
def clean(frame):
    return frame.dropna()"""

FIT = """%%hopx_bg --name fit -o run
import os, time
data = clean(sales)
for epoch in range(1, 9):
    print(f"Epoch {{epoch}}/8 loss {{1 / epoch:.3f}}", flush=True)
    while epoch == 4 and not os.path.exists({go!r}):
        time.sleep(0.02)
data.plot(x="month", figsize=(5, 2.2))
data.tail(3)"""

HOSTILE = """%%hopx_bg --name hostile
from IPython.display import HTML, SVG, display
reach = "parent.document.title = 'reached'"
display(HTML(f'<script>{reach}</script><img src=x onerror="{reach}">'))
display(SVG(f'<svg xmlns="http://www.w3.org/2000/svg" onload="{reach}"><text y="20">drawn</text></svg>'))
"text </pre><b>bold</b>" """


def test_a_cell_with_its_line_its_picture_and_its_value(
    open_notebook: OpenNotebook, shots: Shots, tmp_path: Path
) -> None:
    notebook = open_notebook(SETUP, FIT.format(go=str(tmp_path / "go")))
    notebook.run(0)
    notebook.run(1)
    line = notebook.output(1)
    expect(line).to_contain_text("Epoch 4/8 loss 0.250")
    expect(line).to_contain_text(re.compile("running for (?![01] s)"))
    expect(line).to_contain_text("with sales, clean()")
    shots.keep(line, "running")
    (tmp_path / "go").touch()
    expect(line).to_contain_text("completed in")
    picture = line.get_by_alt_text("figure")
    notebook.wait_until(lambda: picture.evaluate("image => image.naturalWidth") > 200, "the picture is there")
    expect(line.locator("td").last).to_have_text("21")
    shots.keep(line, "completed")
    notebook.theme("JupyterLab Dark")
    shots.keep(line, "completed in the dark")
    saved = notebook.save().cells[1].outputs
    assert "completed in" in saved[0]["data"]["text/html"]
    assert "data:image/png;base64," in saved[0]["data"]["text/html"]


def test_what_a_cell_shows_can_t_reach_the_page(open_notebook: OpenNotebook, shots: Shots) -> None:
    notebook = open_notebook("%load_ext hopx_magics", HOSTILE)
    notebook.run(0)
    notebook.run(1)
    output = notebook.output(1)
    expect(output).to_contain_text("completed in")
    expect(output).to_contain_text("text </pre><b>bold</b>")
    expect(output.locator("iframe")).to_have_count(1)
    output.frame_locator("iframe").locator("img").wait_for(state="attached")
    shots.keep(output, "hostile")
    assert "reached" not in notebook.page.title()
    notebook.forget_complaints()
