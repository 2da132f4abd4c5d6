"""What `%load_ext hopx_magics` adds to a bare IPython."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from .machine import BARE_IPYTHON, python
from .measure import medians
from .report import Row, surplus

LOADED = f"{BARE_IPYTHON}; s.run_line_magic('load_ext', 'hopx_magics')"
PEER = f"{BARE_IPYTHON}; s.run_line_magic('load_ext', 'autoreload')"


def load(smallest: bool) -> Iterator[Row]:
    with compiled():
        bare, loaded, peer = medians(
            lambda: python(BARE_IPYTHON), lambda: python(LOADED), lambda: python(PEER), rounds=1 if smallest else 21
        )
    yield surplus("%load_ext hopx_magics", loaded, "bare IPython", bare, "+25 ms")
    yield surplus("%load_ext autoreload, part of IPython", peer, "bare IPython", bare)


@contextmanager
def compiled() -> Iterator[None]:
    """As pip leaves a package: compiled. Some machines forbid to write bytecode, which no user should pay for."""
    forbidden = os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    yield
    if forbidden is not None:
        os.environ["PYTHONDONTWRITEBYTECODE"] = forbidden


MEASUREMENTS = {"load": load}
