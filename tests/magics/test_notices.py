"""Notices of cells, in a real IPython with an agent of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from traitlets import TraitError

from hopx_magics.connection.connection import Connection
from hopx_magics.errors import AgentWarning, LaunchError
from hopx_magics.launches import checked_launch
from hopx_magics.notices import read_notify
from tests.conftest import OddAgent
from tests.local_agent.receivers import Receiver
from tests.magics.completing import completions
from tests.standins.server import Answer
from tests.waiting import wait_until

Cell = Callable[[str], Any]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver().open()
    yield receiver
    receiver.close()


@pytest.fixture(autouse=True)
def _no_setting(shell: InteractiveShell) -> Iterator[None]:
    yield
    shell.config.pop("HopxMagics", None)


def url(receiver: Receiver) -> str:
    return f"json://{receiver.url[7:]}/SECRET"


def titles(receiver: Receiver, times: int = 1) -> list[str]:
    return [call.content["title"] for call in receiver.called(times)]


def test_one_setting_and_one_word(cell: Cell, receiver: Receiver) -> None:
    cell(f'%config HopxMagics.notify = "{url(receiver)}"')
    runs = cell(
        "%%hopx_bg --name fit --param seed=2 --sweep lr=0.1,0.01 --notify -o runs\n"
        "print(f'loss: {lr}')\n1 / (lr > 0.05)"
    )
    (call,) = receiver.called()
    assert call.content["title"].startswith("fit: 1 completed, 1 failed in ")
    assert call.content["message"].startswith("lr=0.01 seed=2 failed after ")
    assert call.content["message"].endswith("ZeroDivisionError: division by zero")
    assert len(runs) == 2


def test_words_say_when_and_where(cell: Cell, receiver: Receiver) -> None:
    cell('%config HopxMagics.notify = "json://127.0.0.1:9/nobody"')
    cell(f'%%hopx_bg --name fit --notify "loss > 10" {url(receiver)} --lang bash\necho loss: 9; echo loss: 11; exit 3')
    assert titles(receiver)[0].startswith("fit loss>10: loss was 11")


def test_a_rerun_tells_and_tries_again_as_before(hopx: Any, receiver: Receiver) -> None:
    run = hopx.launch("exit 1", language="bash", name="fit", notify=url(receiver), retry=1).wait()
    assert hopx.rerun(run.run_id).wait().status == "failed"
    assert len(titles(receiver, 2)) == 2
    assert list(hopx.history()["status"]) == ["failed"] * 4, "each of both was tried twice"


def test_it_is_told_when_the_program_that_launched_it_is_gone(hopx: Any, receiver: Receiver, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    gated = f"open({str(tmp_path / 'gate')!r}).read()"
    code = f"import hopx_magics as hopx; hopx.launch({gated!r}, name='fit', notify=True)"
    environ = {**os.environ, "HOPX_NOTIFY": url(receiver)}
    subprocess.run([sys.executable, "-c", code], env=environ, check=True)
    assert not receiver.asked
    (tmp_path / "gate").write_text("")
    receiver.called()
    assert "SECRET" not in repr(hopx.ps().to_dict())


def test_what_could_not_be_told_is_in_the_details(cell: Cell) -> None:
    run = cell("%%hopx_bg --name fit --notify json://127.0.0.1:9/SECRET -o run\npass")
    wait_until(lambda: run.source.listed(run.process).notice, "a try was in vain")
    cell("%hopx_ps")
    shown = str(cell("%hopx_show fit"))
    assert "notice          not delivered by json://… yet: there is no connection" in shown
    assert run.wait().status == "completed"
    history = Path(os.environ["HOPX_HISTORY"])
    kept = [path for path in history.parent.glob("history*") if path.is_file() and b"SECRET" in path.read_bytes()]
    assert not kept


def test_places_are_not_shown(cell: Cell, shell: InteractiveShell) -> None:
    cell('%config HopxMagics.notify = "ntfy://SECRET desktop json://user:SECRET@localhost/SECRET"')
    assert repr(cell("%config HopxMagics.notify")) == "'ntfy://… desktop json://…'"
    assert "SECRET" not in cell.shown  # type: ignore[attr-defined]
    cell("%config HopxMagics")
    assert "ntfy://…" in cell.shown  # type: ignore[attr-defined]
    assert "SECRET" not in cell.shown  # type: ignore[attr-defined]
    launch = checked_launch("pass", notify="json://localhost/SECRET")
    assert "SECRET" not in repr(launch) + repr(launch.notify)
    with pytest.raises(TraitError, match="'ntfy:…' is no place for notices: use desktop, or a URL such as") as raised:
        shell.magics_manager.registry["HopxMagics"].notify = "ntfy:/SECRET"
    assert "SECRET" not in str(raised.value)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("failur", "'failur' says of nothing when or where to tell it: did you mean 'failure'"),
        ("loss=>3", "use end, failure, desktop, a bound such as 'loss>10', a URL such as ntfy://TOPIC"),
        ("nosuch://SECRET", "nosuch://… is no URL that apprise can use"),
        ("slack://SECRET/", "slack://… is no URL that apprise can use"),
    ],
)
def test_what_says_nothing_is_refused_before_anything_is_launched(cell: Cell, words: str, says: str) -> None:
    with pytest.raises(UsageError) as raised:
        cell(f'%%hopx_bg --notify "{words}"\npass')
    assert says in str(raised.value)
    assert "SECRET" not in str(raised.value)
    assert cell("%hopx_ps").empty


def test_urls_take_apprise(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(UsageError, match=r"URLs for notices take apprise: pip install 'hopx_magics\[notify\]'"):
        cell("%%hopx_bg --notify ntfy://topic\npass")


@pytest.mark.skipif(sys.platform == "darwin", reason="there is always a desktop")
def test_where_there_is_no_desktop_that_is_said_once(cell: Cell, hopx: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS", "HOPX_NOTIFY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.warns(AgentWarning, match="no notice can be shown on the desktop of this machine") as told:
        runs = [cell("%%hopx_bg --notify -o run\npass") for _ in range(2)]
    assert len(told) == 1
    assert [run.wait().status for run in runs] == ["completed", "completed"]


def test_the_environment_says_where_and_words_win() -> None:
    environ = {"HOPX_NOTIFY": " json://localhost/a  desktop "}
    assert read_notify(None, environ) is None is read_notify(False, environ)
    for wanted, when, places in (
        (True, ("end",), ("json://localhost/a", "desktop")),
        ("failure", ("failure",), ("json://localhost/a", "desktop")),
        (["loss > 10", "end", "desktop"], ("loss>10", "end"), ("desktop",)),
    ):
        notify = read_notify(wanted, environ)
        assert notify is not None
        assert (notify.when, notify.places) == (when, places)
    assert getattr(read_notify(True, {}), "places", None) == ("desktop",)


def test_other_agents_tell_nobody(
    odd_agent: Callable[[Answer], OddAgent], connection_of: Callable[[OddAgent], Connection]
) -> None:
    agent = odd_agent(lambda asked: asked.reply({"agent": "another one"}))
    connection = connection_of(agent)
    with pytest.raises(LaunchError, match=r"tells nobody how a run has ended \(--notify\)"):
        connection.launch(checked_launch("pass", notify="desktop"))
    assert [asked.path for asked in agent.asked] == ["/info"], "nothing is sent"


def test_agents_that_tell_have_no_desktop_of_ours(
    odd_agent: Callable[[Answer], OddAgent], connection_of: Callable[[OddAgent], Connection]
) -> None:
    connection = connection_of(odd_agent(lambda asked: asked.reply({"features": ["notices"]})))
    bash = checked_launch("true", language="bash", notify=["desktop", "json://localhost/x"])
    assert getattr(connection.at_home(bash).notify, "places", None) == ("json://localhost/x",)
    alone = checked_launch("true", language="bash", notify="desktop")
    assert connection.at_home(alone).notify is None
    assert [note.partition(".")[0] for note in connection.remarks] == [
        f"runs on {connection.name} can't show notices on this desktop"
    ]


def test_tab_offers_words(shell: InteractiveShell, hopx: Any) -> None:
    assert completions(shell, "%%hopx_bg --noti\nx") == ["--notify"]
    assert completions(shell, "%%hopx_bg --notify \nx") == ["end", "failure", "desktop"]
    assert completions(shell, "%%hopx_bg --notify fa\nx") == ["failure"]
