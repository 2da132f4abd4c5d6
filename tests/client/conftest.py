"""Clients of a control plane, and ways to the agents of its sandboxes."""

from collections.abc import Callable, Iterator

import pytest

from hopx_magics.client.api_key import ApiKey
from hopx_magics.client.control_plane import ControlPlane
from hopx_magics.client.sandbox import SandboxEndpoint
from hopx_magics.client.transport import Transport
from tests.standins.control_plane import ControlPlaneStandIn
from tests.waiting import DEADLINE


@pytest.fixture
def plane() -> Iterator[ControlPlaneStandIn]:
    with ControlPlaneStandIn() as plane:
        yield plane


@pytest.fixture
def connect(plane: ControlPlaneStandIn) -> Iterator[Callable[..., ControlPlane]]:
    """Makes clients of the control plane."""
    made: list[ControlPlane] = []

    def connect(key: str = plane.key, *, timeout: float = 10, retry_time: float = 0) -> ControlPlane:
        made.append(ControlPlane(ApiKey(key, "HOPX_API_KEY"), plane.url, timeout=timeout, retry_time=retry_time))
        return made[-1]

    yield connect
    for control in made:
        control.close()


@pytest.fixture
def control(connect: Callable[..., ControlPlane]) -> ControlPlane:
    return connect()


@pytest.fixture
def reach(control: ControlPlane) -> Iterator[Callable[[str], Transport]]:
    """Makes transports to the agents of sandboxes."""
    made: list[Transport] = []

    def reach(sandbox_id: str) -> Transport:
        locate = SandboxEndpoint(control, sandbox_id)
        made.append(Transport("cloud", locate, timeout=DEADLINE, retry_time=0, max_reply=1_000_000, kind="sandbox"))
        return made[-1]

    yield reach
    for transport in made:
        transport.close()
