"""Signatures of callbacks: what is believed, and what is not."""

import hashlib
import hmac
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopx_magics.callbacks import signature, verify_callback
from hopx_magics.models import Callback

SECRET = "sähr-secret"
BODY = b'{"execution_id": "exec_1", "status": "completed"}'


def signed(content: bytes, secret: str = SECRET) -> str:
    return f"sha256={hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()}"


def headers(sent: str, timestamp: object) -> dict[str, str]:
    return {"X-HopX-Signature": sent, "X-HopX-Timestamp": str(timestamp), "Content-Type": "application/json"}


def now(shift: int = 0) -> int:
    return int(time.time()) + shift


def test_what_the_local_agent_signs() -> None:
    assert signature(BODY, 1700000000, SECRET) == signed(b"1700000000." + BODY)
    assert verify_callback(BODY, headers(signature(BODY, now(), SECRET), now()), SECRET)


@pytest.mark.parametrize("form", [b"%b", b"@%b", b"@.%b"], ids=["body", "timestamp and body", "with a dot"])
def test_every_documented_form(form: bytes) -> None:
    timestamp = now()
    content = form.replace(b"@", str(timestamp).encode()) % BODY
    assert verify_callback(BODY, headers(signed(content), timestamp), SECRET)
    assert not verify_callback(BODY + b" ", headers(signed(content), timestamp), SECRET)
    assert not verify_callback(BODY, headers(signed(content), timestamp), SECRET + "x")


@pytest.mark.parametrize("spelling", [str.lower, str.upper, str.title, lambda name: name.replace("HopX", "HOPX")])
def test_headers_in_any_case(spelling: object) -> None:
    sent = {spelling(name): value for name, value in headers(signed(BODY), now()).items()}  # type: ignore[operator]
    assert verify_callback(BODY, sent, SECRET)


@pytest.mark.parametrize("shift", [-10_000, -302, 302, 10_000])
def test_old_and_future_ones_are_refused(shift: int) -> None:
    timestamp = now(shift)
    sent = headers(signature(BODY, timestamp, SECRET), timestamp)
    assert not verify_callback(BODY, sent, SECRET)
    assert verify_callback(BODY, sent, SECRET, max_age=20_000)
    assert verify_callback(BODY, sent, SECRET, max_age=math.inf)


@pytest.mark.parametrize("shift", [-290, 290])
def test_clocks_may_differ_a_little(shift: int) -> None:
    timestamp = now(shift)
    assert verify_callback(BODY, headers(signature(BODY, timestamp, SECRET), timestamp), SECRET)


@pytest.mark.parametrize("timestamp", ["", "soon", "-5", "1e9", "٣", "1700000000.5", "9" * 400])
def test_what_is_no_timestamp_is_refused(timestamp: str) -> None:
    sent = headers(signed(BODY), timestamp)
    assert not verify_callback(BODY, sent, SECRET)
    assert verify_callback(BODY, sent, SECRET, max_age=math.inf)


def test_missing_headers() -> None:
    assert not verify_callback(BODY, {}, SECRET)
    assert not verify_callback(BODY, {"X-HopX-Signature": signed(BODY)}, SECRET)
    assert verify_callback(BODY, {"X-HopX-Signature": signed(BODY)}, SECRET, max_age=math.inf)
    assert not verify_callback(BODY, {"X-HopX-Timestamp": str(now())}, SECRET)


def test_a_header_that_is_there_twice_is_refused() -> None:
    sent = headers(signed(BODY), now())
    assert not verify_callback(BODY, {**sent, "x-hopx-signature": signed(BODY)}, SECRET)
    assert not verify_callback(BODY, {**sent, "x-hopx-timestamp": str(now())}, SECRET)


@pytest.mark.parametrize(
    "sent", ["", "sha256=", "sha1=" + signed(BODY)[7:], signed(BODY)[7:], signed(BODY)[:-1], "sha256=ä", "\udcff"]
)
def test_what_is_no_signature_is_refused(sent: str) -> None:
    assert not verify_callback(BODY, headers(sent, now()), SECRET)


def test_the_signature_in_capitals() -> None:
    assert verify_callback(BODY, headers(signed(BODY).upper(), now()), SECRET)


def test_a_recorded_callback_is_no_other_ones_body() -> None:
    """What was signed with its timestamp before it would also be the signature of both as a body."""
    recorded = now(-5000)
    for joined in (b"%d.%b" % (recorded, BODY), b"%d%b" % (recorded, BODY)):
        assert not verify_callback(joined, headers(signed(joined), now()), SECRET)


@pytest.mark.parametrize(("secret", "max_age"), [("", 300.0), (SECRET, -1.0), (SECRET, math.nan)])
def test_wrong_arguments(secret: str, max_age: float) -> None:
    with pytest.raises(ValueError, match=r"secret is empty|max_age must be"):
        verify_callback(BODY, headers(signed(BODY), now()), secret, max_age=max_age)


@given(st.binary(), st.dictionaries(st.text(), st.text()), st.text(st.characters(codec="utf-8"), min_size=1))
def test_nothing_that_arrives_is_an_error(body: bytes, sent: dict[str, str], secret: str) -> None:
    assert not verify_callback(body, sent, secret)


def test_a_callback_shows_no_secret() -> None:
    callback = Callback(url="https://x.example/", headers={"Authorization": "Bearer tok-1"}, secret="tok-2")
    assert "x.example" in repr(callback)
    assert "tok-" not in repr(callback) + str(callback) + repr([callback]) + str(callback.__rich_repr__())
