"""Sends one notice by a URL of apprise: `python -m hopx_magics.local_agent.notice_program`.

A program of its own, since what it takes of time and memory, and whether it hangs, is no matter of the agent then. What
to send comes through standard input, as JSON, and goes to nobody else; why it failed is its answer.
"""

import sys
from typing import Literal

import msgspec

from ..notices import send


class Parcel(msgspec.Struct, kw_only=True):
    """A notice, and where it goes."""

    url: str
    title: str
    body: str
    kind: Literal["info", "success", "failure"]


def main() -> None:
    """Reads, sends and answers."""
    parcel = msgspec.json.decode(sys.stdin.buffer.read(), type=Parcel)
    failure = send(parcel.url, parcel.title, parcel.body, parcel.kind)
    sys.stdout.buffer.write(msgspec.json.encode(failure))


if __name__ == "__main__":
    main()
