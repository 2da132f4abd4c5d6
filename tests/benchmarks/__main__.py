"""Runs the measurements and prints one Markdown table.

python -m tests.benchmarks                        all parts
python -m tests.benchmarks launching fleet        these parts
python -m tests.benchmarks listing.1000           one measurement of a part
python -m tests.benchmarks --json after.jsonl     also writes the rows into a file
python -m tests.benchmarks --package ../before    measures the package in another checkout
python -m tests.benchmarks --compare before.jsonl after.jsonl
"""

import argparse
import contextlib
import importlib
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from . import report
from .measure import Skipped

PARTS = (
    "machine",
    "loading",
    "listing",
    "launching",
    "cells",
    "forking",
    "agent",
    "history",
    "fleet",
    "drawing",
    "watching",
    "charts",
    "lines",
    "doctor",
    "by_ssh",
    "by_ray",
)


def main(words: list[str]) -> None:
    asked = _arguments(words)
    if asked.compare:
        print(*report.compared(*map(report.read, asked.compare)), sep="\n")
        return
    with _package(asked.package) as package, contextlib.ExitStack() as stack:
        file = stack.enter_context(asked.json.open("wb")) if asked.json else None
        print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores, {package}\n")
        print(report.HEAD)
        for row in measured(list(dict.fromkeys(["machine", *(asked.names or PARTS)])), asked.smallest):
            print(report.line(row), flush=True)
            if file:
                file.write(msgspec.json.encode(row) + b"\n")


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help=f"{', '.join(PARTS)}, or PART.MEASUREMENT")
    parser.add_argument("--smallest", action="store_true", help="everything once, in its smallest size")
    parser.add_argument("--json", type=Path, metavar="FILE", help="a file for the rows, one line of JSON each")
    parser.add_argument("--package", type=Path, metavar="FOLDER", help="the checkout whose package is measured")
    parser.add_argument("--compare", type=Path, nargs=2, metavar=("BEFORE", "AFTER"), help="lays two runs side by side")
    asked = parser.parse_args(words)
    for name in asked.names:
        if name.partition(".")[0] not in PARTS:
            parser.error(f"there is no part {name!r}: use {', '.join(PARTS)}")
    return asked


@contextlib.contextmanager
def _package(checkout: Path | None) -> Iterator[Path]:
    """Lets this program, and all that it starts, import the package of another checkout; tells where it is."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        if checkout is not None:
            (Path(folder) / "hopx_magics").symlink_to(checkout.absolute() / "hopx_magics")
            sys.path.insert(0, folder)
        os.environ["PYTHONPATH"] = os.pathsep.join([*([folder] if checkout else []), str(here)])
        import hopx_magics

        yield Path(hopx_magics.__file__).resolve().parent


def measured(names: list[str], smallest: bool) -> Iterator[report.Row]:
    """The rows of these parts and measurements. What this machine has not got is told in a row, too."""
    for name in names:
        part, _, one = name.partition(".")
        try:
            for row in _rows(part, one, smallest):
                yield msgspec.structs.replace(row, part=part)
        except Skipped as reason:
            yield report.Row(part=part, what=one or "all of it", note=f"skipped: {reason}")


def _rows(part: str, one: str, smallest: bool) -> Iterator[report.Row]:
    module: Any = importlib.import_module(f"{__package__}.{part}")
    if one and one not in module.MEASUREMENTS:
        raise SystemExit(f"{part} has no measurement {one!r}: use {', '.join(module.MEASUREMENTS)}")
    surroundings = getattr(module, "surroundings", contextlib.nullcontext)
    with surroundings() as given:
        for measurement in [one] if one else module.MEASUREMENTS:
            arguments = (smallest,) if given is None else (given, smallest)
            yield from module.MEASUREMENTS[measurement](*arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
