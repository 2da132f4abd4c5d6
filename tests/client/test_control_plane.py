"""The control plane: what is asked of it, what it answers, and that it keeps a secret."""

import json
import logging
import secrets
import traceback
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.pretty import pretty_repr

from hopx_magics.client.api_key import ApiKey
from hopx_magics.client.control_plane import ControlPlane
from hopx_magics.client.sandbox import SandboxEndpoint
from hopx_magics.client.transport import Request, Transport
from hopx_magics.errors import (
    ControlPlaneError,
    HopxError,
    NotYours,
    SandboxGone,
)
from hopx_magics.models import Sandbox
from tests.conftest import OddAgent
from tests.standins.control_plane import ControlPlaneStandIn
from tests.standins.server import Answer, Asked, answering

LISTING = Request("GET", "/execute/processes")


# ---------------------------------------------------------------- the list


def test_the_list_has_all_pages(plane: ControlPlaneStandIn, control: ControlPlane) -> None:
    plane.page = 2
    ids = [plane.add() for _ in range(5)]
    assert [sandbox.sandbox_id for sandbox in control.sandboxes()] == ids
    assert [asked.query for asked in plane.asked] == ["limit=100", "limit=100&cursor=2", "limit=100&cursor=4"]


def test_no_sandboxes_are_said_with_null(plane: ControlPlaneStandIn, control: ControlPlane) -> None:
    assert control.sandboxes() == []


def test_the_list_ends_where_it_does_not_say_how_to_go_on(plane: ControlPlaneStandIn, control: ControlPlane) -> None:
    plane.page, plane.has_cursors = 2, False
    ids = [plane.add() for _ in range(3)]
    assert [sandbox.sandbox_id for sandbox in control.sandboxes()] == ids[:2]


def test_the_list_ends_where_it_repeats_itself(plane: ControlPlaneStandIn, control: ControlPlane) -> None:
    page = answering({"data": [{"id": "a"}], "has_more": True, "next_cursor": "same"})
    plane.odd = [page] * 9
    assert [sandbox.sandbox_id for sandbox in control.sandboxes()] == ["a"]
    assert len(plane.asked) == 2


def test_the_list_ends_where_it_says_so(plane: ControlPlaneStandIn, control: ControlPlane) -> None:
    plane.odd = [answering({"data": [{"id": "a"}], "has_more": False, "next_cursor": "b"})]
    control.sandboxes()
    assert len(plane.asked) == 1


def test_a_list_without_end_is_given_up(plane: ControlPlaneStandIn, control: ControlPlane) -> None:
    plane.odd = [answering({"data": [], "has_more": True, "next_cursor": str(number)}) for number in range(200)]
    with pytest.raises(ControlPlaneError, match="no end"):
        control.sandboxes()


def test_one_status(plane: ControlPlaneStandIn, control: ControlPlane) -> None:
    plane.add()
    paused = plane.add(status="paused")
    odd = plane.add(status="rebooting")
    assert [sandbox.sandbox_id for sandbox in control.sandboxes("paused")] == [paused]
    assert plane.asked[0].query == "status=paused&limit=100"
    assert [sandbox.sandbox_id for sandbox in control.sandboxes("unknown")] == [odd]
    plane.odd = [answering({"data": [{"id": "a", "status": "running"}]})]  # which doesn't know of the filter
    assert control.sandboxes("paused") == []
    with pytest.raises(ValueError, match="use running, stopped, paused, creating"):
        control.sandboxes("asleep")  # type: ignore[arg-type]


# ---------------------------------------------------------------- what is read


def test_a_sandbox_as_the_specification_describes_it(plane: ControlPlaneStandIn, control: ControlPlane) -> None:
    sandbox_id = plane.add(
        public_host="https://7777-x.eu-1001.vms.hopx.dev/", expires_at="2999-01-01T00:00:00.123456789Z"
    )
    assert control.sandbox(sandbox_id) == Sandbox(
        sandbox_id=sandbox_id,
        status="running",
        template="code-interpreter",
        region="eu-1001",
        url="https://7777-x.eu-1001.vms.hopx.dev",
        vcpu=2,
        memory_mb=2048,
        disk_mb=20480,
        created_at=datetime(2025, 11, 17, 13, 22, 19, tzinfo=UTC),
        expires_at=datetime(2999, 1, 1, 0, 0, 0, 123456, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("row", "field", "value"),
    [
        ({"id": "a", "public_host": "a.hopx.dev"}, "url", "https://a.hopx.dev"),
        ({"id": "a", "public_host": "", "direct_url": "https://b.hopx.dev/"}, "url", "https://b.hopx.dev"),
        ({"id": "a"}, "url", None),
        ({"sandbox_id": "a"}, "sandbox_id", "a"),
        ({"id": "a", "status": "Paused"}, "status", "paused"),
        ({"id": "a", "status": "rebooting"}, "status", "unknown"),
        ({"id": "a", "status": "rebooting"}, "status_detail", "rebooting"),
        ({"id": "a", "status": None}, "status", "unknown"),
        ({"id": "a", "template_id": 73}, "template", "73"),
        ({"id": "a", "resources": {"disk_gb": 20}}, "disk_mb", 20480),
        ({"id": "a", "resources": None}, "vcpu", None),
        ({"id": "a", "created_at": "0001-01-01T00:00:00Z"}, "created_at", None),
        ({"id": "a", "started_at": "2025-01-01T00:00:00Z"}, "created_at", datetime(2025, 1, 1, tzinfo=UTC)),
        ({"id": "a", "end_at": "2025-01-01T00:00:00+01:00"}, "expires_at", datetime(2024, 12, 31, 23, tzinfo=UTC)),
    ],
)
def test_other_descriptions(
    plane: ControlPlaneStandIn, control: ControlPlane, row: dict[str, Any], field: str, value: Any
) -> None:
    plane.odd = [answering(row)]
    assert getattr(control.sandbox("a"), field) == value


# ---------------------------------------------------------------- the key


def test_the_key_goes_in_its_own_header(plane: ControlPlaneStandIn, control: ControlPlane) -> None:
    control.sandboxes()
    (asked,) = plane.asked
    assert asked.headers["X-API-Key"] == plane.key
    assert asked.headers["Authorization"] is None


def test_a_control_plane_that_wants_a_bearer_is_understood_once(
    plane: ControlPlaneStandIn, control: ControlPlane
) -> None:
    plane.accepts = {"Authorization"}
    control.sandboxes()
    control.sandboxes()
    assert [asked.headers["X-API-Key"] for asked in plane.asked] == [plane.key, None, None]


def test_a_wrong_key_is_tried_both_ways_and_says_where_it_is_from(
    plane: ControlPlaneStandIn, connect: Callable[..., ControlPlane]
) -> None:
    with pytest.raises(ControlPlaneError, match=r"API key was not accepted(?s:.*)from HOPX_API_KEY") as caught:
        connect("hopx_live_wrong.key", retry_time=5).sandboxes()
    assert caught.value.status == 401
    assert len(plane.asked) == 2


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize("nested", [False, True])
def test_a_sandbox_that_is_not_there_or_not_mine(
    plane: ControlPlaneStandIn, control: ControlPlane, nested: bool
) -> None:
    plane.nested_errors = nested
    foreign = plane.add()
    plane.foreign.add(foreign)
    for ask in (control.sandbox, control.delete, control.resume, control.token):
        with pytest.raises(SandboxGone, match="deleted, has expired"):
            ask("gone")
        with pytest.raises(NotYours, match="does not belong"):
            ask(foreign)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (answering({"error": "no credit", "code": "PAYMENT_REQUIRED"}, 402), "no credit"),
        (answering({"error": {"message": "Too many", "code": "RESOURCE_LIMIT_ERROR"}}, 403), "limit is reached"),
        (answering({"error": "slow down", "retry_after": 60}, 429), "in a minute"),
        (answering(b"<html>Bad Gateway", 500), "status 500"),
        (answering(b"<html>Sign in</html>"), "web page"),
        (answering(b""), "no JSON"),
        (answering([]), "names no sandbox"),
        (answering({"agent": "HopX VM Agent (Go)", "message": "success"}), "names no sandbox"),
        (lambda asked: asked.reply(b"", 302, Location="https://evil.example"), "not followed"),
        (lambda asked: asked.reset(), "connection broke"),
    ],
)
def test_other_answers(plane: ControlPlaneStandIn, control: ControlPlane, answer: Answer, words: str) -> None:
    plane.odd = [answer]
    with pytest.raises(ControlPlaneError, match=words) as caught:
        control.sandbox("a")
    assert plane.url in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("body", [[], {}, {"auth_token": None}, {"auth_token": "a b"}, {"auth_token": "a\r\nX: b"}])
def test_a_token_that_can_not_be_sent_is_none(plane: ControlPlaneStandIn, control: ControlPlane, body: Any) -> None:
    plane.odd = [answering(body)]
    with pytest.raises(ControlPlaneError, match="has no token"):
        control.token("a")


def test_a_control_plane_that_hangs(plane: ControlPlaneStandIn, connect: Callable[..., ControlPlane]) -> None:
    control = connect(timeout=0.5)
    plane.odd = [plane.hang]
    with pytest.raises(ControlPlaneError, match=r"did not answer within 0\.5 s"):
        control.sandboxes()


def test_what_is_no_id_is_not_asked_for(plane: ControlPlaneStandIn, control: ControlPlane) -> None:
    for text in ("", "..", "a/b", "a?b", "ä"):
        with pytest.raises(ValueError, match="not the id of a sandbox"):
            control.delete(text)
    assert plane.asked == []


# ---------------------------------------------------------------- changes


@pytest.mark.parametrize(
    ("options", "body"),
    [
        ({"template": "base"}, {"template_name": "base"}),
        ({"template": "73"}, {"template_id": "73"}),
        (
            {"template": "base", "timeout": 600, "env": {"A": "1"}, "region": "eu2"},
            {"template_name": "base", "timeout_seconds": 600, "env_vars": {"A": "1"}, "region": "eu2"},
        ),
    ],
)
def test_a_sandbox_is_created(
    plane: ControlPlaneStandIn, control: ControlPlane, options: dict[str, Any], body: dict[str, Any]
) -> None:
    sandbox = control.create(**options)
    (asked,) = plane.asked
    assert json.loads(asked.body) == body
    assert sandbox.status == "creating"
    assert sandbox.sandbox_id in plane.rows


@pytest.mark.parametrize(
    "answer", [lambda asked: asked.reset(), answering(b"busy", 503), answering(b"", 504), answering(b'{"id": "17')]
)
def test_a_creation_without_a_reply_is_not_repeated(
    plane: ControlPlaneStandIn, connect: Callable[..., ControlPlane], answer: Answer
) -> None:
    plane.odd = [answer]
    with pytest.raises(ControlPlaneError, match="may have been created all the same"):
        connect(retry_time=5).create("base")
    assert plane.paths("POST") == ["/v1/sandboxes"]


def test_a_creation_that_was_refused_leaves_no_doubt(plane: ControlPlaneStandIn, control: ControlPlane) -> None:
    plane.odd = [answering({"error": "no credit"}, 402), answering({"error": "unknown"}, 404)]
    with pytest.raises(ControlPlaneError) as caught:
        control.create("base")
    assert "may have been" not in str(caught.value)
    with pytest.raises(ControlPlaneError, match="Is there a template 'bose'"):
        control.create("bose")


def test_a_creation_that_was_never_sent_leaves_no_doubt(connect: Callable[..., ControlPlane]) -> None:
    with ControlPlaneStandIn() as closed:
        pass
    control = ControlPlane(ApiKey("k", "HOPX_API_KEY"), closed.url, timeout=10, retry_time=0)
    with pytest.raises(ControlPlaneError, match="can't be reached") as caught:
        control.create("base")
    control.close()
    assert "may have been" not in str(caught.value)


def test_arguments_that_can_not_be_used(plane: ControlPlaneStandIn, control: ControlPlane) -> None:
    sandbox_id = plane.add()
    with pytest.raises(ValueError, match="needs a template"):
        control.create(" ")
    with pytest.raises(ValueError, match="1 or more seconds"):
        control.create("base", timeout=0)
    with pytest.raises(ValueError, match="1 or more seconds"):
        control.extend(sandbox_id, 0)
    assert plane.asked == []


def test_deleting(plane: ControlPlaneStandIn, control: ControlPlane) -> None:
    sandbox_id = plane.add()
    control.delete(sandbox_id)
    assert plane.rows == {}


def test_resuming(plane: ControlPlaneStandIn, control: ControlPlane) -> None:
    assert control.resume(plane.add(status="paused")).status == "running"


def test_extending(plane: ControlPlaneStandIn, control: ControlPlane) -> None:
    sandbox_id = plane.add()
    end = control.extend(sandbox_id, 3600)
    assert end == control.sandbox(sandbox_id).expires_at
    assert end is not None
    assert 3500 < (end - datetime.now(UTC)).total_seconds() < 3601


def test_only_what_may_happen_twice_is_tried_again(
    plane: ControlPlaneStandIn, connect: Callable[..., ControlPlane]
) -> None:
    control = connect(retry_time=5)
    sandbox_id = plane.add()
    busy = answering({"error": "NOT_INITIALIZED", "message": "soon"}, 503)
    calls: list[Callable[[], object]] = [
        control.sandboxes,
        lambda: control.sandbox(sandbox_id),
        lambda: control.token(sandbox_id),
        lambda: control.extend(sandbox_id, 60),
    ]
    for call in calls:
        plane.odd = [busy]
        assert call()
    once: list[Callable[[], object]] = [
        lambda: control.create("base"),
        lambda: control.delete(sandbox_id),
        lambda: control.resume(sandbox_id),
    ]
    for call in once:
        plane.odd = [busy]
        with pytest.raises(ControlPlaneError, match="soon"):
            call()
    assert list(plane.rows) == [sandbox_id]


# ---------------------------------------------------------------- secrets


def pieces(secret: str) -> list[str]:
    return [secret[start : start + 12] for start in range(0, len(secret) - 11, 12)]


def repeating(asked: Asked) -> None:
    """Refuses with a text that repeats the key or token."""
    asked.reply({"error": f"you sent {asked.headers['X-API-Key'] or asked.headers['Authorization']}"}, 400)


def test_no_secret_is_shown_anywhere(
    plane: ControlPlaneStandIn,
    connect: Callable[..., ControlPlane],
    odd_agent: Callable[[Answer], OddAgent],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not by errors whose texts repeat it, nor cut in the middle, nor by what is shown of values, nor in logs."""
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []

    def note(call: Callable[[], object]) -> None:
        try:
            value = call()
        except HopxError as error:
            shown.extend([repr(vars(error)), traceback.format_exc()])
            value = error
        shown.extend([str(value), repr(value), pretty_repr(value)])

    plane.key = "hopx_live_" + secrets.token_urlsafe(300)
    key = ApiKey(plane.key, "HOPX_API_KEY")
    control = connect(plane.key)
    agent = odd_agent(repeating)
    sandbox_id = plane.add(public_host=agent.url)
    locate = SandboxEndpoint(control, sandbox_id)
    endpoint = locate(None)  # type: ignore[arg-type]
    with closing(Transport("cloud", locate, timeout=10, retry_time=0, max_reply=1_000_000)) as transport:
        note(lambda: transport.read(LISTING))
    note(lambda: control.token(sandbox_id))
    note(control.sandboxes)
    note(lambda: [key, control, locate, endpoint])
    for answer in (
        repeating,
        answering(b'{"id": "a", "auth_token": "cut-off-token'),
        answering(b"<auth_token>cut-off-token"),
        answering({"auth_token": "cut-off-token with a space"}),
        answering(["cut-off-token"]),
    ):
        calls: list[Callable[[], object]] = [
            control.sandboxes,
            lambda: control.sandbox("a"),
            lambda: control.token("a"),
            lambda: control.create("base"),
            lambda: control.extend("a", 5),
        ]
        for call in calls:
            plane.odd = [answer]
            note(call)
    everything = "\n".join([*shown, caplog.text])
    sent = [asked.headers["Authorization"].removeprefix("Bearer ") for asked in agent.asked]
    assert sent
    assert everything.count("you sent [token]") > 10
    secret_pieces = {piece for secret in (*plane.secrets, *sent, "cut-off-token") for piece in pieces(secret)}
    assert [piece for piece in secret_pieces if piece in everything] == []


def test_a_redirect_does_not_show_the_key(plane: ControlPlaneStandIn, control: ControlPlane) -> None:
    plane.odd = [lambda asked: asked.reply(b"", 302, Location=f"https://evil.example/{'x' * 150}{plane.key}")]
    with pytest.raises(ControlPlaneError, match=r"redirects to https://evil\.example") as caught:
        control.sandboxes()
    assert plane.key[:20] not in str(caught.value)
