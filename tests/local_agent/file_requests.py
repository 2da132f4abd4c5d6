"""Requests to the files API of the local agent."""

import os
from typing import Any

import httpx

from .conftest import Agent


def get(agent: Agent, endpoint: str, **params: Any) -> httpx.Response:
    return agent.http.get(f"/files/{endpoint}", params=params)


def post(agent: Agent, endpoint: str, **body: Any) -> httpx.Response:
    return agent.http.post(f"/files/{endpoint}", json=body)


def upload(agent: Agent, content: bytes, filename: str = "x", **fields: str) -> httpx.Response:
    return agent.http.post("/files/upload", files={"file": (filename, content)}, data=fields)


def waiting(agent: Agent) -> list[str]:
    """What is on its way into the work folder."""
    return os.listdir(agent.folder / "incoming")
