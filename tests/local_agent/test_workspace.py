"""The borders of the work folder: nothing leads out of it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hopx_magics.local_agent.answers import Refused
from hopx_magics.local_agent.workspace import Workspace
from tests.waiting import wait_until

from .conftest import Agent, refused
from .file_requests import get, post, upload, waiting

SECRET = "outside, and nobody's business"


@pytest.fixture
def work(agent: Agent) -> Path:
    return agent.folder / "workspace"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder with a file beside the work folder."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_text(SECRET)
    return folder


WAYS_OUT = [
    "/etc/passwd",
    "/",
    "/tmp",
    "/tmp/nothing/there",
    "/workspacex",
    "/workspace/..",
    "/workspace/../incoming",
    "..",
    "../agent.json",
    "a/../../agent.json",
    "//workspace/x",
    "linked/secret",
    "/workspace/linked/secret",
    "linked/../x",
    "to-file",
    "dangling",
    "deep/linked",
]


@pytest.fixture
def links(work: Path, outside: Path) -> Iterator[None]:
    """Links in the work folder that lead out of it."""
    (work / "deep").mkdir(exist_ok=True)
    made = {
        "linked": outside,
        "to-file": outside / "secret",
        "dangling": outside / "not yet there",
        "deep/linked": Path("../../../.."),
    }
    for name, target in made.items():
        (work / name).symlink_to(target)
    yield
    for name in made:
        (work / name).unlink(missing_ok=True)


@pytest.mark.usefixtures("links")
@pytest.mark.parametrize("path", WAYS_OUT)
def test_nothing_leads_out_of_the_work_folder(agent: Agent, outside: Path, path: str) -> None:
    replies = [
        *(get(agent, endpoint, path=path) for endpoint in ("read", "download", "list", "exists")),
        post(agent, "write", path=path, content="x"),
        post(agent, "mkdir", path=path),
        upload(agent, b"x", path=path),
    ]
    for reply in replies:
        assert refused(reply) == (403, "PATH_NOT_ALLOWED")
        assert SECRET not in reply.text
    assert [file.name for file in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_text() == SECRET
    assert waiting(agent) == []


@pytest.mark.usefixtures("links")
def test_removing_a_link_leaves_alone_what_it_leads_to(agent: Agent, work: Path, outside: Path) -> None:
    for path in ("linked/secret", "linked/../outside/secret"):
        assert refused(agent.http.delete("/files/remove", params={"path": path})) == (403, "PATH_NOT_ALLOWED")
    for name in ("linked", "to-file", "dangling"):
        assert agent.http.delete("/files/remove", params={"path": name}).status_code == 200
        assert not (work / name).is_symlink()
    (work / "tree").mkdir()
    (work / "tree" / "out").symlink_to(outside)
    assert agent.http.delete("/files/remove", params={"path": "tree"}).status_code == 200
    assert (outside / "secret").read_text() == SECRET


def test_links_within_the_work_folder_work(agent: Agent, work: Path) -> None:
    (work / "real").mkdir()
    (work / "alias").symlink_to("real")
    (work / "around").symlink_to(work / "real" / "file")
    reply = post(agent, "write", path="alias/file", content="through a link").json()
    assert reply["path"] == "/workspace/real/file"
    for path in ("alias/file", "around", "real/../alias/./file"):
        assert get(agent, "read", path=path).json()["content"] == "through a link"
    assert upload(agent, b"replaced", path="/workspace/around").status_code == 200
    assert (work / "around").is_symlink()
    assert (work / "real" / "file").read_text() == "replaced"


def test_a_link_that_leads_to_itself(agent: Agent, work: Path) -> None:
    (work / "loop").symlink_to("loop")
    assert refused(get(agent, "read", path="loop/x")) in ((403, "PATH_NOT_ALLOWED"), (400, "INVALID_PATH"))


EXCHANGE = """
import os
while True:
    for taken, put in (("real", "link"), ("link", "real")):
        os.rename("door", taken)
        os.rename(put, "door")
"""


def test_a_link_that_is_put_in_the_way_meanwhile(tmp_path: Path, outside: Path) -> None:
    """A folder is exchanged for a link and back again, as fast as possible, while it is read through."""
    root = tmp_path / "work"
    (root / "door").mkdir(parents=True)
    (root / "door" / "secret").write_text("inside")
    (root / "link").symlink_to(outside)
    workspace, seen = Workspace(root, tmp_path / "incoming"), []

    def look() -> None:
        try:
            with workspace.open("door/secret") as file:
                seen.append(file.read())
        except Refused as error:
            seen.append(error.code)

    with subprocess.Popen([sys.executable, "-S", "-c", EXCHANGE], cwd=root) as swapper:
        try:
            wait_until((root / "door").is_symlink, "it has begun")
            for _ in range(3000):
                look()
            wait_until(lambda: look() or len(set(seen)) > 1, "something was in the way")
        finally:
            swapper.kill()
    assert set(seen) <= {b"inside", "PATH_NOT_ALLOWED", "FILE_NOT_FOUND", "DIRECTORY_NOT_FOUND", "INVALID_PATH"}
