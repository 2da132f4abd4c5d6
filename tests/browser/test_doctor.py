"""`%hopx_doctor` in a page: whether that answers the kernel, and how what is found looks."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import FindBarriers, OpenNotebook, Shots

PATIENT = "%load_ext hopx_magics\nfrom hopx_magics.checkup import page\npage.ANSWER = page.LOADING = 9"


@pytest.mark.parametrize("server", ["lab", "notebook7"])
def test_the_page_answers_the_doctor_while_his_cell_runs(
    open_notebook: OpenNotebook, shots: Shots, barriers: FindBarriers, server: str
) -> None:
    notebook = open_notebook(PATIENT, "%hopx_doctor", server=server)
    notebook.run(0)
    found = notebook.run(1).locator(".hopx-document")
    expect(found.locator("tr", has_text="page: widgets")).to_contain_text("1 page answers the kernel")
    expect(found.locator("tr", has_text="page: messages")).to_contain_text("none was lost")
    shots.keep(notebook.page, f"{server}-light")
    assert barriers(notebook.page, ".hopx-document") == []
    notebook.theme("JupyterLab Dark")
    shots.keep(notebook.page, f"{server}-dark")
    assert barriers(notebook.page, ".hopx-document") == []
