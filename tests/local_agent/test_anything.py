"""Whatever a client sends, to whichever endpoint: the agent refuses or does it, and never fails."""

import json
from typing import Any
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import Agent, refused

TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["", " ", "\0", "é", "a/b", "..", "/", "/workspace", "/workspace/x", "~nobody9", "x" * 5000]),
)
HARMLESS = st.sampled_from(["true", "exit 3", "é", "", " ", "\0", "/", "/no/such", "x" * 5000])
"""What may be run, whatever language it is said to be in."""

NUMBERS = st.one_of(
    st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([0, 2**63, -(2**200), 1e308])
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2))
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "code": HARMLESS,
    "command": HARMLESS,
    "args": st.lists(HARMLESS, max_size=2),
    "language": st.sampled_from(["bash", "python", "é", ""]),
    "timeout": NUMBERS,
    "env": st.dictionaries(TEXTS, TEXTS, max_size=2),
    "sweep": TEXTS,
    "sweep_limit": NUMBERS,
    "callback_url": st.sampled_from(["http://127.0.0.1:9/", "http://[", "http://é/", "http://h:99999", "ftp://h", ""]),
    "callback_headers": st.dictionaries(TEXTS, TEXTS, max_size=2),
    "content": TEXTS,
    "encoding": st.sampled_from(["base64", "utf-8", "é"]),
    "mode": TEXTS | st.sampled_from(["0644", "\u0667\u0667\u0667"]),
    "overwrite": st.booleans(),
    **dict.fromkeys(("name", "workdir", "working_dir", "callback_signature_secret", "path", "process_id"), TEXTS),
}


ONE = st.fixed_dictionaries({}, optional={name: values | JSON for name, values in FIELDS.items()})
FIELDS["launches"] = st.lists(ONE | JSON, max_size=3)
FIELDS["idempotency_keys"] = st.lists(TEXTS, max_size=3)

BODIES = st.fixed_dictionaries(FIELDS) | st.fixed_dictionaries({}, optional={n: v | JSON for n, v in FIELDS.items()})

SPANS = st.from_regex(r"bytes=[0-9]{0,20}-[0-9]{0,20}", fullmatch=True) | st.text(max_size=20)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Range": SPANS,
        "If-None-Match": st.text(max_size=20)
        | st.from_regex(r'W/"[0-9a-f]{16}-[0-9]{0,20}\.[0-9]{0,20}-(all|[0-9]*)"'),
        "Prefer": st.sampled_from(["wait=0", "wait=-1", "wait=0.001", "wait=é", "wait=" + "9" * 400 + "x"]),
        "A-IM": st.sampled_from(["hopx-rows", "hopx-rows;q=0", "é", ","]),
        "Idempotency-Key": st.text(max_size=300),
        "Content-Type": st.sampled_from(
            [
                "application/json",
                "multipart/form-data",
                "multipart/form-data; boundary=b",
                "multipart/form-data; boundary=é",
            ]
        ),
    },
)
QUERIES = st.dictionaries(st.sampled_from(["path", "tail", "process_id"]), TEXTS, max_size=2)
FORM = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nx\r\n--b--\r\n'
RAW = st.binary(max_size=30) | st.sampled_from([FORM, FORM[:-9], FORM.replace(b'"f"', b'"\xff\0/.."')])


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_nothing_that_a_client_sends_makes_the_agent_fail(agent: Agent, data: st.DataObject) -> None:
    endpoints = agent.http.get("/info").json()["endpoints"]
    method, path = data.draw(st.sampled_from(endpoints)).split()
    path = path.format(process_id=quote(data.draw(TEXTS), safe="") or "x", stream="stdout")
    headers = {name: value.encode() for name, value in data.draw(HEADERS).items() if _can_be_sent(value)}
    body = data.draw(st.one_of(BODIES.map(_json), JSON.map(_json), RAW))
    reply = agent.http.request(method, path, params=data.draw(QUERIES), headers=headers, content=body)
    assert reply.status_code < 500 or reply.status_code == 507, agent.log.read_text()
    if reply.status_code >= 400:
        refused(reply)


def _can_be_sent(value: str) -> bool:
    return value == value.strip() and not any(ord(sign) < 32 or ord(sign) == 127 for sign in value)


def _json(content: Any) -> bytes:
    return json.dumps(content).encode()
