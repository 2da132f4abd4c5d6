"""Files to and from an agent: the local one for real, and others in their dialects."""

import contextlib
import email
import json
import os
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from hopx_magics.client.files import Files
from hopx_magics.client.local import LocalAgent
from hopx_magics.client.transport import Endpoint, Transport
from hopx_magics.errors import AgentRefused, AgentUnreachable, BadReply, HopxError, NotSupported
from hopx_magics.models import FileInfo
from hopx_magics.protocol.files import FILES_MKDIR, decode_exists, decode_files
from hopx_magics.settings import Settings
from tests.conftest import OddAgent
from tests.standins.server import Answer, Asked
from tests.waiting import DEADLINE

CATCH_ALL = {"agent": "HopX VM Agent (Go)", "status": "running", "version": "3.2.8", "message": "success"}

StartOdd = Callable[[Answer], OddAgent]


@pytest.fixture
def files(state: Settings) -> Iterator[Files]:
    """The files of a local agent of the test's own."""
    transport = Transport("local", LocalAgent(state), timeout=DEADLINE, retry_time=10, max_reply=1_000_000)
    yield Files(transport)
    transport.close()


@pytest.fixture
def odd_files(odd_agent: StartOdd) -> Iterator[Callable[[Answer], Files]]:
    """The files of an agent that answers as the test says."""
    transports = []

    def start(answer: Answer) -> Files:
        url = odd_agent(answer).url
        locate = lambda http: Endpoint(url, "tok")  # noqa: E731
        transports.append(Transport("odd", locate, timeout=2, retry_time=2, max_reply=1000))
        return Files(transports[-1])

    yield start
    for transport in transports:
        transport.close()


@pytest.fixture
def work(state: Settings) -> Path:
    """The work folder of the local agent."""
    return state.agent_folder / "workspace"


def only(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


# ---------------------------------------------------------------- the local agent


@pytest.mark.parametrize("content", [b"", b"\xff\0\r\n", b"aGVsbG8=", bytes(range(256)) * 10_000])
def test_there_and_back(files: Files, tmp_path: Path, content: bytes) -> None:
    here = tmp_path / "here"
    here.write_bytes(content)
    seen: list[tuple[int, int | None]] = []
    assert files.put(here, "/workspace/new/folders/ä b.bin", lambda *args: seen.append(args)) == (
        "/workspace/new/folders/ä b.bin"
    )
    assert (seen[0], seen[-1]) == ((0, len(content)), (len(content), len(content)))
    seen.clear()
    back = files.get("new/folders/ä b.bin", tmp_path / "back", lambda *args: seen.append(args))
    assert back.read_bytes() == content
    assert (seen[0], seen[-1]) == ((0, len(content)), (len(content), len(content)))
    assert only(tmp_path) == ["back", "here", "state"]


def test_a_folder_as_the_place(files: Files, tmp_path: Path, work: Path) -> None:
    (tmp_path / "data.csv").write_text("1")
    assert files.put(tmp_path / "data.csv", "in/") == "/workspace/in/data.csv"
    assert (work / "in/data.csv").read_text() == "1"
    (tmp_path / "down").mkdir()
    assert files.get("in/data.csv", tmp_path / "down") == tmp_path / "down" / "data.csv"


def test_list_exists_mkdir_remove(files: Files, work: Path) -> None:
    files.mkdir("/workspace/a/b")
    (work / "a" / "c").write_text("123")
    os.utime(work / "a" / "c", (1_700_000_000, 1_700_000_000))
    folder, file = files.list("/workspace/a")
    assert (folder.name, folder.is_directory) == ("b", True)
    assert file == FileInfo(
        name="c",
        path="/workspace/a/c",
        size=3,
        permissions="-rw-r--r--",
        modified_at=datetime.fromtimestamp(1_700_000_000, UTC),
    )
    assert [info.name for info in files.list()] == ["a"]
    assert files.exists("a/c")
    assert not files.exists("/workspace/a/d")


def test_the_mode_of_what_is_replaced_is_kept(files: Files, tmp_path: Path, work: Path) -> None:
    work.mkdir(parents=True)
    (work / "x").write_text("new")
    target = tmp_path / "tool"
    target.write_text("old")
    target.chmod(0o750)
    (tmp_path / "link").symlink_to("tool")
    assert files.get("x", tmp_path / "link") == target
    assert (target.read_text(), target.stat().st_mode & 0o777) == ("new", 0o750)
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda files, here: files.put(here / "none", "x"), "use the path of a file on this machine"),
        (lambda files, here: files.put(here, "x"), "use the path of a file on this machine"),
        (lambda files, here: files.get("x", here / "none" / "x"), "make it first"),
        (lambda files, here: files.get("x/", here), "is a folder"),
        (lambda files, here: files.get("", here / "x"), "use one like /workspace/data.csv"),
        (lambda files, here: files.list(""), "use one like /workspace/data.csv"),
        (lambda files, here: files.mkdir("a\0b"), "use one like /workspace/data.csv"),
    ],
)
def test_wrong_arguments(files: Files, tmp_path: Path, call: Callable[[Files, Path], Any], says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        call(files, tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_refusals(files: Files, tmp_path: Path) -> None:
    target = tmp_path / "kept"
    target.write_text("as before")
    for call in (
        lambda: files.get("/etc/passwd", target),
        lambda: files.list("/etc"),
        lambda: files.exists("/etc/none"),
        lambda: files.put(target, "/etc/x"),
        lambda: files.put(target, "../x"),
    ):
        with pytest.raises(AgentRefused) as caught:
            call()
        assert caught.value.code == "PATH_NOT_ALLOWED"
        assert "below /workspace and /tmp only" in str(caught.value)
    with pytest.raises(AgentRefused, match="no such file") as caught:
        files.get("none", target)
    assert caught.value.hint is None
    assert target.read_text() == "as before"
    assert only(tmp_path) == ["kept", "state"]


def test_no_large_file_is_in_memory(files: Files, tmp_path: Path, work: Path) -> None:
    size = 50_000_000
    with (tmp_path / "large").open("wb") as file:
        file.truncate(size)
    files.exists("x")  # all is there that is needed once
    tracemalloc.start()
    try:
        files.put(tmp_path / "large", "large")
        files.get("large", tmp_path / "back")  # far more than a reply may have otherwise
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
    assert (tmp_path / "back").stat().st_size == (work / "large").stat().st_size == size


def test_a_file_that_changes_while_it_is_sent(files: Files, tmp_path: Path, work: Path) -> None:
    here = tmp_path / "log"
    here.write_bytes(b"x" * 1_000_000)

    def append(done: int, total: int | None) -> None:
        with here.open("ab") as file:
            file.write(b"more")

    files.put(here, "log", append)
    assert (work / "log").read_bytes() == b"x" * 1_000_000  # as it was at first
    with pytest.raises(HopxError, match="became shorter"):
        files.put(here, "log", lambda done, total: os.truncate(here, 300_000))
    assert (work / "log").stat().st_size == 1_000_000


def test_an_interrupt_leaves_nothing_half(files: Files, tmp_path: Path, work: Path) -> None:
    work.mkdir(parents=True)
    (work / "large").write_bytes(b"x" * 5_000_000)
    target = tmp_path / "kept"
    target.write_text("as before")

    def interrupt(done: int, total: int | None) -> None:
        if done > 1_000_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.get("large", target, interrupt)
    with pytest.raises(KeyboardInterrupt):
        files.put(work / "large", "other", interrupt)
    assert target.read_text() == "as before"
    assert only(tmp_path) == ["kept", "state"]
    assert only(work) == ["large"]
    assert files.get("large", target).stat().st_size == 5_000_000  # the connection is none that was left in between


# ---------------------------------------------------------------- other agents


def form_of(asked: Asked) -> dict[str, Message]:
    """The parts of an upload by their names."""
    message = email.message_from_bytes(f"Content-Type: {asked.headers['Content-Type']}\n\n".encode() + asked.body)
    return {str(part.get_param("name", header="content-disposition")): part for part in message.get_payload()}  # type: ignore[union-attr, misc]


def test_an_upload_says_its_path_in_every_way(odd_files: Callable[[Answer], Files], tmp_path: Path) -> None:
    seen: list[Asked] = []

    def answer(asked: Asked) -> None:
        seen.append(asked)
        asked.reply({"path": "/tmp/d/x", "success": True})

    (tmp_path / "x").write_bytes(b"\0content\r\n")
    odd_files(answer).put(tmp_path / "x", "/tmp/d/x")
    mkdir, upload = seen
    assert (mkdir.method, mkdir.path, json.loads(mkdir.body)) == ("POST", "/files/mkdir", {"path": "/tmp/d"})
    assert (upload.method, upload.path) == ("POST", "/files/upload")
    assert parse_qs(upload.query) == {"path": ["/tmp/d/x"]}
    assert upload.headers["Authorization"] == "Bearer tok"
    form = form_of(upload)
    assert list(form) == ["path", "file"]
    assert form["path"].get_payload(decode=True) == b"/tmp/d/x"
    assert form["file"].get_filename() == "x"
    assert form["file"].get_payload(decode=True) == b"\0content\r\n"


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b""), (204, b""), (201, b"OK"), (200, b'{"path": "/tmp/x"}'), (200, b'{"path": "/tmp/x", "size": null}')],
)
def test_what_an_agent_may_say_to_an_upload(
    odd_files: Callable[[Answer], Files], tmp_path: Path, status: int, body: bytes
) -> None:
    (tmp_path / "x").write_bytes(b"12345")
    assert odd_files(lambda asked: asked.reply(body, status)).put(tmp_path / "x", "/tmp/x") == "/tmp/x"


def test_an_upload_that_was_not_stored_wholly(odd_files: Callable[[Answer], Files], tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"12345")
    files = odd_files(lambda asked: asked.reply({"path": "/tmp/x", "size": 4}))
    with pytest.raises(BadReply, match="stored 4 of the 5 bytes"):
        files.put(tmp_path / "x", "/tmp/x")


def test_a_directory_that_is_there_already(odd_files: Callable[[Answer], Files], tmp_path: Path) -> None:
    def answer(asked: Asked) -> None:
        exists = asked.path == FILES_MKDIR
        asked.reply({"error": "exists", "code": "FILE_ALREADY_EXISTS"} if exists else {}, 400 if exists else 200)

    (tmp_path / "x").touch()
    assert odd_files(answer).put(tmp_path / "x", "/workspace/a/x") == "/workspace/a/x"


def test_an_upload_is_sent_once(odd_files: Callable[[Answer], Files], tmp_path: Path) -> None:
    seen: list[str] = []

    def answer(asked: Asked) -> None:
        seen.append(asked.path)
        asked.reply({"error": "busy"}, 503) if len(seen) == 1 else asked.reset()

    (tmp_path / "x").touch()
    files = odd_files(answer)
    for error in (AgentRefused, AgentUnreachable):
        with pytest.raises(error):
            files.put(tmp_path / "x", "/tmp/x")
    assert seen == ["/files/upload"] * 2


def test_a_download_is_tried_again_from_its_beginning(odd_files: Callable[[Answer], Files], tmp_path: Path) -> None:
    asked_for: list[Asked] = []

    def answer(asked: Asked) -> None:
        asked_for.append(asked)
        if len(asked_for) == 1:
            asked.reply(b"first", length=10)
            asked.reset()
        elif len(asked_for) == 2:
            asked.reply({"error": "busy"}, 503)
        else:
            asked.reply(b"0123456789", Content_Type="application/octet-stream")

    seen: list[tuple[int, int | None]] = []
    file = odd_files(answer).get("/tmp/x", tmp_path / "x", lambda *args: seen.append(args))
    assert file.read_bytes() == b"0123456789"
    assert seen[-1] == (10, 10)
    assert seen.count((0, 10)) == 2
    assert parse_qs(asked_for[0].query) == {"path": ["/tmp/x"]}
    assert only(tmp_path) == ["x"]


def test_a_download_that_never_comes_wholly(odd_files: Callable[[Answer], Files], tmp_path: Path) -> None:
    def answer(asked: Asked) -> None:
        asked.reply(b"half", length=8)
        asked.reset()

    (tmp_path / "x").write_text("as before")
    with pytest.raises(AgentUnreachable):
        odd_files(answer).get("/tmp/x", tmp_path / "x")
    assert (tmp_path / "x").read_text() == "as before"
    assert only(tmp_path) == ["x"]


def test_a_download_in_chunks(odd_files: Callable[[Answer], Files], tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    files = odd_files(lambda asked: asked.raw(head + b"5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n"))
    seen: list[tuple[int, int | None]] = []
    assert files.get("x", tmp_path / "x", lambda *args: seen.append(args)).read_bytes() == b"0123456789"
    assert seen[-1] == (10, None)


@pytest.mark.parametrize(
    "head", [b"Content-Encoding: gzip\r\nContent-Length: 5\r\n", b"Connection: close\r\n"], ids=["packed", "no length"]
)
def test_a_download_that_could_be_cut(odd_files: Callable[[Answer], Files], tmp_path: Path, head: bytes) -> None:
    def answer(asked: Asked) -> None:
        asked.raw(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n01234")
        asked.reset()

    with pytest.raises(BadReply, match="as it is, with its size"):
        odd_files(answer).get("x", tmp_path / "x")
    assert only(tmp_path) == []


def test_a_json_file_is_a_file(odd_files: Callable[[Answer], Files], tmp_path: Path) -> None:
    for content in (b'{"agent": "x"}', b'{"message": "success"}', b"[1]", b"no JSON", b""):
        files = odd_files(lambda asked, content=content: asked.reply(content))  # type: ignore[misc]
        assert files.get("x.json", tmp_path / "x").read_bytes() == content
    files = odd_files(lambda asked: asked.reply(CATCH_ALL, Content_Disposition="attachment"))
    assert json.loads(files.get("x.json", tmp_path / "x").read_bytes()) == CATCH_ALL


@pytest.mark.parametrize("answer", [lambda asked: asked.reply(CATCH_ALL), lambda asked: asked.reply({}, 405)])
def test_an_agent_without_files(odd_files: Callable[[Answer], Files], tmp_path: Path, answer: Answer) -> None:
    files = odd_files(answer)
    (tmp_path / "x").write_text("as before")
    for call in (
        lambda: files.get("x", tmp_path / "x"),
        lambda: files.put(tmp_path / "x", "/tmp/x"),
        lambda: files.put(tmp_path / "x", "/workspace/x"),
        files.list,
        lambda: files.exists("x"),
        lambda: files.mkdir("x"),
    ):
        with pytest.raises(NotSupported):
            call()
    assert (tmp_path / "x").read_text() == "as before"
    assert only(tmp_path) == ["x"]


DIALECTS: list[dict[str, Any]] = [
    {"is_directory": False, "permissions": "rw-r--r--", "modified_time": "2025-11-16T23:25:45Z"},
    {"is_dir": False, "permissions": "rw-r--r--", "modified": "2025-11-16T23:25:45.000000000Z"},
    {"is_dir": False, "mode": "rw-r--r--", "modified": "2025-11-17T00:25:45+01:00"},
]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_of_a_listing(odd_files: Callable[[Answer], Files], dialect: dict[str, Any]) -> None:
    row = {"name": "a.csv", "path": "/workspace/a.csv", "size": 5, "more": [], **dialect}
    (file,) = odd_files(lambda asked: asked.reply({"files": [row, None], "path": "/workspace", "count": 9})).list()
    assert file == FileInfo(
        name="a.csv",
        path="/workspace/a.csv",
        size=5,
        permissions="rw-r--r--",
        modified_at=datetime(2025, 11, 16, 23, 25, 45, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("row", "info"),
    [
        ({"name": "d", "is_dir": True}, FileInfo(name="d", path="", is_directory=True)),
        ({"name": "d", "is_directory": False, "is_dir": True}, FileInfo(name="d", path="")),
        (
            {"name": "d", "permissions": "drwxr-xr-x"},
            FileInfo(name="d", path="", is_directory=True, permissions="drwxr-xr-x"),
        ),
        ({"path": "/tmp/d/"}, FileInfo(name="d", path="/tmp/d/")),
        ({"name": 5, "size": "x", "modified_time": "0001-01-01T00:00:00Z"}, FileInfo(name="5", path="")),
        ({"name": None, "size": -0.5, "is_dir": "yes"}, FileInfo(name="", path="")),
    ],
)
def test_rows_that_say_little(row: dict[str, Any], info: FileInfo) -> None:
    assert decode_files(json.dumps({"files": [row]}).encode(), agent="agent") == (info,)


@pytest.mark.parametrize("body", [{"files": None}, {"files": []}, [], {"files": [None, 5, "x"]}])
def test_listings_of_nothing(body: Any) -> None:
    assert decode_files(json.dumps(body).encode(), agent="agent") == ()


@pytest.mark.parametrize("body", [{}, {"files": 5}, {"files": {"a": 1}}, 5, "x", None])
def test_what_is_no_listing(body: Any) -> None:
    with pytest.raises(BadReply):
        decode_files(json.dumps(body).encode(), agent="agent")


@pytest.mark.parametrize("body", [b"", b"{}", b'{"exists": "no"}', b"[true]", b"<html>"])
def test_what_does_not_tell_whether_it_exists(body: bytes) -> None:
    with pytest.raises(BadReply):
        decode_exists(body, agent="agent")


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (lambda asked: asked.reply({"exists": True}), True),
        (lambda asked: asked.reply({"exists": False, "path": "/x"}), False),
        (lambda asked: asked.reply({"error": "x", "code": "FILE_NOT_FOUND"}, 404), False),
        (lambda asked: asked.reply({"error": "no such route"}, 404), NotSupported),
        (lambda asked: asked.reply({"error": "x", "code": "FORBIDDEN"}, 403), AgentRefused),
    ],
)
def test_exists_is_no_guess(
    odd_files: Callable[[Answer], Files], reply: Answer, answer: bool | type[HopxError]
) -> None:
    with contextlib.nullcontext() if isinstance(answer, bool) else pytest.raises(answer):
        assert odd_files(reply).exists("x") is answer
