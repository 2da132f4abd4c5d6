"""Runs the measurements and prints one Markdown table."""

import os
import platform
import sys

from . import agent, fleet, history, launching, listing, loading, watching

PARTS = {
    "loading": loading,
    "listing": listing,
    "launching": launching,
    "agent": agent,
    "history": history,
    "fleet": fleet,
    "watching": watching,
}


def main(names: list[str]) -> None:
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores\n")
    print("| what | ours | against | result | at most |\n|---|---|---|---|---|")
    for name in names or PARTS:
        for row in PARTS[name].measure():
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
