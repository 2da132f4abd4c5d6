"""Speaks over HTTP to agents and to HopX's control plane. The only part that imports httpx."""

import random

_state = random.getstate()
import httpx  # noqa: E402, F401

random.setstate(_state)  # httpx may load rich, which draws a number: a notebook that set its seed would get others then
