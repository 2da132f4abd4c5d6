"""Fixtures of the tests of plain Python: several agents."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hopx_magics.session.session import Session
from hopx_magics.settings import Settings
from tests.conftest import agent_pid, stop_agent
from tests.waiting import is_running


@pytest.fixture
def fleet(
    hopx: Any, state: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., list[Settings]]]:
    """Connects to real agents of these names, each with a state folder of its own."""
    sessions: list[Session] = []

    def start(*names: str) -> list[Settings]:
        for name in names:
            with monkeypatch.context() as patched:
                patched.setenv("HOPX_STATE_DIR", str(tmp_path / name))
                sessions.append(Session())
                sessions[-1].connection().listing()
            endpoint = sessions[-1].connection().agent.transport._endpoint
            assert endpoint is not None
            hopx.connect(endpoint.url, name=name, token=endpoint.token)
        return [session.settings for session in sessions]

    yield start
    for session in sessions:
        pid = agent_pid(session.settings)
        if pid is not None and is_running(pid):
            listing = session.connection().listing(tail=0)
            session.connection().kill([id_ for id_, process in listing.by_id.items() if not process.ended])
        session.close()
        stop_agent(session.settings)
