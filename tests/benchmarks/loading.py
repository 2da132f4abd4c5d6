"""What `%load_ext hopx_magics` adds to a bare IPython."""

import os
import subprocess
import sys
from collections.abc import Iterator

from .measure import Row, medians, ms

BARE = "from IPython.core.interactiveshell import InteractiveShell; s = InteractiveShell.instance()"
LOADED = f"{BARE}; s.run_line_magic('load_ext', 'hopx_magics')"
PEER = f"{BARE}; s.run_line_magic('load_ext', 'autoreload')"


def measure() -> Iterator[Row]:
    # As pip leaves a package: compiled. Some machines forbid to write bytecode, which no user should pay for.
    compiled = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def start(code: str) -> None:
        subprocess.run([sys.executable, "-c", code], check=True, env=compiled)

    bare, loaded, peer = medians(lambda: start(BARE), lambda: start(LOADED), lambda: start(PEER), rounds=21)
    yield Row("%load_ext hopx_magics", ms(loaded), f"bare IPython {ms(bare)}", f"+{ms(loaded - bare)}", "+25 ms")
    yield Row("%load_ext autoreload, part of IPython", ms(peer), f"bare IPython {ms(bare)}", f"+{ms(peer - bare)}", "-")
