"""The files API of the local agent: its shapes, and that nothing is half there."""

import base64
import os
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.waiting import wait_until

from .conftest import Agent, StartAgent, fill, refused
from .file_requests import get, post, upload, waiting


@pytest.fixture
def work(agent: Agent) -> Path:
    return agent.folder / "workspace"


# ---------------------------------------------------------------- shapes


def test_write_and_read(agent: Agent, work: Path) -> None:
    reply = post(agent, "write", path="/workspace/a/b/c.txt", content="grüße\n").json()
    assert reply.keys() == {"path", "size", "message", "success", "timestamp"}
    assert (reply["path"], reply["size"], reply["success"]) == ("/workspace/a/b/c.txt", 8, True)
    assert (work / "a/b/c.txt").read_text() == "grüße\n"
    reply = get(agent, "read", path="/workspace/a/b/c.txt").json()
    assert reply == {"content": "grüße\n", "path": "/workspace/a/b/c.txt", "size": 8}


def test_write_in_base64_with_a_mode(agent: Agent, work: Path) -> None:
    content = bytes(range(256))
    encoded = base64.b64encode(content).decode()
    reply = post(agent, "write", path="b.bin", content=encoded, encoding="base64", mode="0750").json()
    assert reply["size"] == 256
    assert (work / "b.bin").read_bytes() == content
    assert (work / "b.bin").stat().st_mode & 0o7777 == 0o750
    post(agent, "write", path="b.bin", content="now text")
    assert (work / "b.bin").stat().st_mode & 0o7777 == 0o750
    post(agent, "write", path="other", content="")
    assert (work / "other").stat().st_mode & 0o111 == 0


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"content": "x"}, (400, "MISSING_PARAMETER")),
        ({"path": "", "content": "x"}, (400, "MISSING_PARAMETER")),
        ({"path": "x"}, (400, "MISSING_PARAMETER")),
        ({"path": "x", "content": "x", "mode": "rw"}, (400, "INVALID_REQUEST")),
        ({"path": "x", "content": "x", "mode": "4755"}, (400, "INVALID_REQUEST")),
        ({"path": "x", "content": "x", "encoding": "rot13"}, (400, "INVALID_REQUEST")),
        ({"path": "x", "content": "!", "encoding": "base64"}, (400, "INVALID_REQUEST")),
        ({"path": "x", "content": "é", "encoding": "base64"}, (400, "INVALID_REQUEST")),
        ({"path": "x", "content": 5}, (400, "INVALID_REQUEST")),
        ({"path": "nul\0", "content": "x"}, (400, "INVALID_PATH")),
        ({"path": "x" * 300, "content": "x"}, (400, "INVALID_PATH")),
        ({"path": ".", "content": "x"}, (400, "INVALID_PATH")),
        ({"path": "/etc/passwd", "content": "x"}, (403, "PATH_NOT_ALLOWED")),
    ],
)
def test_what_can_not_be_written(agent: Agent, fields: dict[str, Any], error: tuple[int, str]) -> None:
    assert refused(post(agent, "write", **fields)) == error
    assert waiting(agent) == []


def test_a_file_is_not_overwritten_against_the_will(agent: Agent, work: Path) -> None:
    fields = {"path": "/workspace/once", "overwrite": False}
    assert post(agent, "write", content="first", **fields).status_code == 200
    assert refused(post(agent, "write", content="second", **fields)) == (409, "FILE_ALREADY_EXISTS")
    assert (work / "once").read_text() == "first"
    assert waiting(agent) == []


def test_a_directory_is_not_overwritten(agent: Agent, work: Path) -> None:
    (work / "folder").mkdir()
    assert refused(post(agent, "write", path="folder", content="x")) == (400, "INVALID_PATH")
    assert refused(post(agent, "write", path="folder/", content="x")) == (400, "INVALID_PATH")
    assert refused(upload(agent, b"x", path="/workspace/folder")) == (400, "INVALID_PATH")
    assert (work / "folder").is_dir()


def test_upload_and_download(agent: Agent, work: Path) -> None:
    content = b"\r\n--boundary\r\n\0\xff" * 100_000
    reply = upload(agent, content, path="/workspace/up load.bin").json()
    assert (reply["path"], reply["size"], reply["success"]) == ("/workspace/up load.bin", len(content), True)
    assert (work / "up load.bin").read_bytes() == content
    down = get(agent, "download", path="/workspace/up load.bin")
    assert down.content == content
    assert down.headers["content-type"] == "application/octet-stream"
    assert down.headers["content-length"] == str(len(content))
    assert down.headers["content-disposition"] == "attachment; filename*=UTF-8''up%20load.bin"


@pytest.mark.parametrize(
    ("filename", "fields", "params", "path"),
    [
        ("f1", {}, {}, "/workspace/f1"),
        ("C:\\data\\f2", {}, {}, "/workspace/f2"),
        ("../../f3", {}, {}, "/workspace/f3"),
        ("x", {}, {"path": "/workspace/f4"}, "/workspace/f4"),
        ("x", {"path": "/workspace/ä 5"}, {"path": "/workspace/other"}, "/workspace/ä 5"),
        ("ü \" '", {}, {}, "/workspace/ü %22 '"),
    ],
)
def test_where_an_upload_goes(
    agent: Agent, filename: str, fields: dict[str, str], params: dict[str, str], path: str
) -> None:
    files = {"file": (filename, b"content")}
    reply = agent.http.post("/files/upload", files=files, data={**fields, "more": "x"}, params=params)
    assert reply.json()["path"] == path
    assert get(agent, "read", path=path).json()["content"] == "content"


def test_an_upload_of_unknown_length(agent: Agent, work: Path) -> None:
    def body() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="chunked"\r\n\r\n'
        for _ in range(1000):
            yield b"x" * 1000
        yield b"\r\n--b--\r\n"

    reply = agent.http.post(
        "/files/upload", content=body(), headers={"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert reply.json()["size"] == 1_000_000
    assert (work / "chunked").stat().st_size == 1_000_000


FORM = "multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="never"\r\n\r\nx\r\n'


@pytest.mark.parametrize(
    ("kind", "body", "code"),
    [
        ("application/json", b"{}", "INVALID_REQUEST"),
        ("", b"", "INVALID_REQUEST"),
        ("multipart/form-data", b"", "INVALID_REQUEST"),
        (FORM, b"", "INVALID_REQUEST"),
        (FORM, b"no form", "INVALID_REQUEST"),
        (FORM, PART, "INVALID_REQUEST"),
        (FORM, PART + PART + b"--b--\r\n", "INVALID_REQUEST"),
        (FORM, b"--b\r\n" + b"X: y\r\n" * 10_000, "INVALID_REQUEST"),
        (FORM, b'--b\r\nContent-Disposition: form-data; name="path"\r\n\r\nx\r\n--b--\r\n', "MISSING_PARAMETER"),
        (FORM, PART.replace(b"never", b"") + b"--b--\r\n", "MISSING_PARAMETER"),
        (FORM, PART.replace(b'"file"', b'"other"') + b"--b--\r\n", "MISSING_PARAMETER"),
        (FORM, PART.replace(b'"file"', b'"path"').replace(b"x\r\n", b"x" * 20_000 + b"\r\n"), "INVALID_REQUEST"),
        (f"multipart/form-data; boundary={'b' * 9000}", b"", "INVALID_REQUEST"),
    ],
)
def test_bad_uploads(agent: Agent, work: Path, kind: str, body: bytes, code: str) -> None:
    reply = agent.http.post("/files/upload", content=body, headers={"Content-Type": kind})
    assert refused(reply) == (400, code)
    assert not (work / "never").exists()
    assert waiting(agent) == []


def test_an_upload_makes_no_directories(agent: Agent, work: Path) -> None:
    assert refused(upload(agent, b"x", path="/workspace/not/there")) == (404, "DIRECTORY_NOT_FOUND")
    assert not (work / "not").exists()
    assert waiting(agent) == []


def test_list(agent: Agent, work: Path) -> None:
    folder = work / "listed"
    (folder / "sub").mkdir(parents=True)
    (folder / "b.txt").write_text("12345")
    (folder / "b.txt").chmod(0o640)
    (folder / "link").symlink_to("/etc")
    (folder / os.fsdecode(b"no\xffutf8")).touch()
    os.utime(folder / "b.txt", (1_700_000_000, 1_700_000_000))
    content = get(agent, "list", path="/workspace/listed").json()
    assert (content["path"], content["count"]) == ("/workspace/listed", 4)
    assert [row["name"] for row in content["files"]] == ["b.txt", "link", "no\ufffdutf8", "sub"]
    assert content["files"][0] == {
        "name": "b.txt",
        "path": "/workspace/listed/b.txt",
        "size": 5,
        "is_directory": False,
        "permissions": "-rw-r-----",
        "modified_time": datetime.fromtimestamp(1_700_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
    }
    assert [(row["is_directory"], row["permissions"][0]) for row in content["files"]] == [
        (False, "-"),
        (False, "l"),
        (False, "-"),
        (True, "d"),
    ]
    assert "listed" in [row["name"] for row in get(agent, "list").json()["files"]]
    assert refused(get(agent, "list", path="/workspace/none")) == (404, "DIRECTORY_NOT_FOUND")
    assert refused(get(agent, "list", path="/workspace/listed/b.txt")) == (400, "INVALID_PATH")


def test_exists(agent: Agent, work: Path) -> None:
    (work / "is").mkdir()
    (work / "is/here").touch()
    for path, exists in (
        ("/workspace", True),
        ("/workspace/is", True),
        ("is/here", True),
        (str(work / "is/here"), True),
        ("/workspace/is/not", False),
        ("/workspace/is/here/not", False),
    ):
        assert get(agent, "exists", path=path).json() == {"exists": exists, "path": path}
    assert refused(get(agent, "exists")) == (400, "MISSING_PARAMETER")


def test_mkdir_and_remove(agent: Agent, work: Path) -> None:
    reply = post(agent, "mkdir", path="/workspace/m/n/o").json()
    assert (reply["path"], reply["success"]) == ("/workspace/m/n/o", True)
    assert post(agent, "mkdir", path="/workspace/m/n/o").status_code == 200
    (work / "m/n/o/file").touch()
    assert refused(post(agent, "mkdir", path="/workspace/m/n/o/file/x")) == (400, "INVALID_PATH")
    for path in ("/workspace/m/n/o/file", "/workspace/m"):
        assert agent.http.delete("/files/remove", params={"path": path}).json()["path"] == path
    assert not (work / "m").exists()
    assert refused(agent.http.delete("/files/remove", params={"path": "/workspace/m"})) == (404, "FILE_NOT_FOUND")
    assert refused(agent.http.delete("/files/remove")) == (400, "MISSING_PARAMETER")


@pytest.mark.parametrize("path", ["/workspace", "/workspace/", ".", "/workspace/x/..", "a/../b/.."])
def test_the_work_folder_itself_stays(agent: Agent, work: Path, path: str) -> None:
    assert refused(agent.http.delete("/files/remove", params={"path": path})) == (403, "PATH_NOT_ALLOWED")
    assert work.is_dir()


def test_what_can_not_be_read(agent: Agent, work: Path) -> None:
    (work / "folder2").mkdir()
    (work / "binary").write_bytes(b"\xff\xfe")
    with (work / "large").open("wb") as file:
        file.truncate(33_000_000)
    os.mkfifo(work / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        os.symlink(work, short := f"/tmp/hopx-{os.getpid()}")  # a socket's path can't be long
        listener.bind(f"{short}/socket")
        os.unlink(short)
    for endpoint in ("read", "download"):
        assert refused(get(agent, endpoint)) == (400, "MISSING_PARAMETER")
        assert refused(get(agent, endpoint, path="/workspace/none")) == (404, "FILE_NOT_FOUND")
        for path in ("folder2", "/workspace", "pipe"):
            assert refused(get(agent, endpoint, path=path)) == (400, "INVALID_PATH")
    for path in ("binary", "large"):
        reply = get(agent, "read", path=path)
        assert refused(reply) == (400, "INVALID_REQUEST")
        assert "/files/download" in reply.json()["error"]


def test_a_part_of_a_file(agent: Agent, work: Path) -> None:
    (work / "ranged").write_bytes(bytes(range(200)))
    for span, begin, end in (("5-9", 5, 10), ("190-", 190, 200), ("-3", 197, 200)):
        reply = agent.http.get("/files/download", params={"path": "ranged"}, headers={"Range": f"bytes={span}"})
        assert (reply.status_code, reply.content) == (206, bytes(range(begin, end)))
        assert reply.headers["content-range"] == f"bytes {begin}-{end - 1}/200"
    reply = agent.http.get("/files/download", params={"path": "ranged"}, headers={"Range": "bytes=200-"})
    assert refused(reply) == (416, "RANGE_NOT_SATISFIABLE")
    reply = agent.http.head("/files/download", params={"path": "ranged"})
    assert (reply.status_code, reply.headers["content-length"]) == (200, "200")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "read"), ("POST", "write"), ("POST", "upload"), ("GET", "download"), ("DELETE", "remove")],
)
def test_files_need_the_token(agent: Agent, method: str, path: str) -> None:
    reply = httpx.request(method, f"{agent.about.url}/files/{path}")
    assert refused(reply) == (401, "AUTHENTICATION_REQUIRED")


def test_the_endpoints_are_told(agent: Agent) -> None:
    endpoints = agent.http.get("/info").json()["endpoints"]
    assert {"GET /files/list", "POST /files/upload", "DELETE /files/remove"} <= set(endpoints)
    assert refused(agent.http.get("/files/upload")) == (405, "METHOD_NOT_ALLOWED")


# ---------------------------------------------------------------- large, slow, full


def test_large_files_are_never_in_memory(start_agent: StartAgent, tmp_path: Path) -> None:
    agent = start_agent()
    program, size = psutil.Process(agent.about.pid), 200_000_000
    upload(agent, b"warm", path="warm")
    get(agent, "download", path="warm")
    before = program.memory_info().rss
    with (tmp_path / "large").open("wb+") as file:
        file.truncate(size)
        reply = agent.http.post("/files/upload", files={"file": ("large", file)})
    assert reply.json()["size"] == size
    with agent.http.stream("GET", "/files/download", params={"path": "large"}) as down:
        assert sum(len(chunk) for chunk in down.iter_raw()) == size
    assert program.memory_info().rss - before < 10_000_000


def test_a_half_upload_is_nowhere(start_agent: StartAgent) -> None:
    agent = start_agent()
    work = agent.folder / "workspace"
    (work / "kept").write_text("as before")
    begun = threading.Event()

    def body() -> Iterator[bytes]:
        yield PART.replace(b"never", b"kept").replace(b"x\r\n", b"x" * 500_000)
        begun.set()
        wait_until(
            lambda: waiting(agent) and os.stat(agent.folder / "incoming" / waiting(agent)[0]).st_size, "it comes"
        )
        assert [file.name for file in work.iterdir()] == ["kept"]
        raise InterruptedError

    with pytest.raises(InterruptedError):
        agent.http.post("/files/upload", content=body(), headers={"Content-Type": FORM})
    assert begun.is_set()
    wait_until(lambda: not waiting(agent), "what came of it is gone")
    assert (work / "kept").read_text() == "as before"
    assert "Traceback" not in agent.log.read_text()


def test_what_a_killed_agent_left_half_is_gone(start_agent: StartAgent) -> None:
    first = start_agent()
    (first.folder / "incoming" / "0123").write_text("half")
    first.end(9)
    assert waiting(start_agent()) == []


def test_a_full_disk(small_disk: Path, start_agent: StartAgent) -> None:
    agent = start_agent(folder=small_disk / "agent")
    work = agent.folder / "workspace"
    post(agent, "write", path="kept", content="as before")

    reply = upload(agent, b"x" * 10_000_000, path="kept")  # it says beforehand how large it is
    assert refused(reply) == (507, "INSUFFICIENT_STORAGE")

    def chunked() -> Iterator[bytes]:
        yield PART.replace(b"never", b"kept").removesuffix(b"x\r\n")
        for _ in range(100):
            yield b"x" * 100_000
        yield b"\r\n--b--\r\n"

    reply = agent.http.post("/files/upload", content=chunked(), headers={"Content-Type": FORM})
    assert refused(reply) == (507, "INSUFFICIENT_STORAGE")
    assert waiting(agent) == []

    fill(small_disk / "filler")
    for reply in (
        post(agent, "write", path="kept", content="x" * 100_000),
        post(agent, "write", path="new", content="x" * 100_000),
        upload(agent, b"x" * 100_000, path="kept"),
    ):
        assert refused(reply) == (507, "INSUFFICIENT_STORAGE")
    assert waiting(agent) == []
    assert [file.name for file in work.iterdir()] == ["kept"]
    assert get(agent, "read", path="kept").json()["content"] == "as before"
    assert agent.http.delete("/files/remove", params={"path": "kept"}).status_code == 200


def test_writes_are_bounded_in_size_and_uploads_are_not(agent: Agent) -> None:
    assert refused(post(agent, "write", path="long", content="x" * 33_000_000)) == (413, "INVALID_REQUEST")
    content = b"x" * 33_000_000
    assert upload(agent, content, path="long").json()["size"] == len(content)
