"""What is shown, looked at without a screen."""

from collections.abc import Iterator

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest


@pytest.fixture(autouse=True)
def _without_a_screen() -> Iterator[None]:
    """Pictures need none, and are closed behind a test."""
    mpl.use("Agg")
    yield
    plt.close("all")
