"""Values that parameters may have, and what real programs make of the code that is sent."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

INSERTED = "  # parameters of this run"


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**53) + 1, max_value=2**53 - 1)
    | st.floats()
    | st.text()
    | st.sampled_from(
        ["'; touch x; '", "$(touch x)", "`touch x`", "${HOME}", "*/ /* //", "\\", "\\'", "__proto__", "\r"]
    ),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.sampled_from(["__proto__", "constructor"]), inner, max_size=4)
    ),
    max_leaves=8,
)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal in type, too, with nan equal to nan."""
    return repr(one) == repr(other)


def output_of(command: list[str], code: str, folder: Path) -> bytes:
    file = folder / "cell"
    file.write_bytes(code.encode())
    env = {"PATH": os.environ["PATH"]}
    return subprocess.run([*command, str(file)], capture_output=True, check=True, env=env, cwd=folder).stdout


def from_python(code: str, folder: Path) -> bytes:
    return output_of([sys.executable, "-W", "error"], code, folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cells")
