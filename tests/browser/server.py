"""A JupyterLab or Notebook 7 server that shares nothing with the user's own: no settings, no kernels, no state."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any, Literal

import psutil

from tests.waiting import DEADLINE, is_running, wait_until

App = Literal["lab", "notebook"]

APPS: dict[App, tuple[str, list[str]]] = {
    "lab": ("jupyterlab", ["--LabApp.expose_app_in_browser=True", "--LabApp.news_url="]),
    "notebook": ("notebook", ["--JupyterNotebookApp.expose_app_in_browser=True"]),
}

# News, update checks and notifications would cover the page, and would ask machines outside.
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True},
}

# The kernel works in the test's own folder: its local agent and its history are those of the `state` fixture.
KERNEL_STARTUP = """
import os
os.environ["HOPX_STATE_DIR"] = os.path.join(os.getcwd(), "state")
os.environ["HOPX_HISTORY"] = os.path.join(os.getcwd(), "history.sqlite")
"""


class JupyterServer:
    """Serves the folders of all tests; everything that it writes for itself is in `home`.

    But for the sockets of its kernels, whose paths must be short. Ports that are free when they are chosen may be taken
    by others until kernels bind them.
    """

    def __init__(self, app: App, home: Path, root: Path) -> None:
        self.app = app
        self.home = home
        self.root = root
        self._runtime = Path(tempfile.mkdtemp(prefix="hopx-"))
        self._token = secrets.token_hex(16)
        self._write_settings()
        self._log = (home / "server.log").open("wb")
        module, options = APPS[app]
        command = [
            *(sys.executable, "-m", module, "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0"),
            *(f"--IdentityProvider.token={self._token}", f"--ServerApp.root_dir={root}"),
            "--KernelManager.transport=ipc",
            *options,
        ]
        self._process = subprocess.Popen(
            command,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._url = ""
        try:
            wait_until(self._answers, f"{module} answers")
        except BaseException:
            self.close()
            raise

    def address(self, notebook: Path) -> str:
        """Where a notebook opens: in Lab in a workspace of its own, so that nothing else opens with it."""
        path = notebook.relative_to(self.root)
        place = f"lab/workspaces/{secrets.token_hex(4)}/tree" if self.app == "lab" else "notebooks"
        return f"{self._url}/{place}/{path}?token={self._token}"

    def kernel(self, kernel_id: str) -> psutil.Process:
        """The process of a kernel."""
        for process in psutil.Process(self._process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if any(kernel_id in word for word in process.cmdline()):
                    return process
        raise LookupError(f"no process of the kernel {kernel_id}")

    def end_kernels(self, folder: Path | None = None) -> None:
        """Ends the kernels of the notebooks below a folder, or all."""
        for session in self.ask("sessions"):
            if folder is None or (self.root / session["path"]).is_relative_to(folder):
                self.ask(f"sessions/{session['id']}", "DELETE")

    def ask(self, path: str, method: str = "GET") -> Any:
        """The answer of the server's REST API."""
        headers = {"Authorization": f"token {self._token}"}
        request = urllib.request.Request(f"{self._url}/api/{path}", method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=DEADLINE) as reply:
            return json.loads(reply.read() or b"null")

    def close(self) -> None:
        """Ends the server, its kernels, and whatever these started and left."""
        running = [psutil.Process(self._process.pid)] if self._process.poll() is None else []
        if running and self._url:
            with contextlib.suppress(OSError):
                self.end_kernels()
        for process in list(running):
            running += process.children(recursive=True)
        if running:
            self._process.send_signal(signal.SIGTERM)
        self._process.wait(DEADLINE)
        for process in running:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        wait_until(lambda: not any(is_running(process.pid) for process in running), "all of them have ended")
        self._log.close()
        shutil.rmtree(self._runtime, ignore_errors=True)

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError((self.home / "server.log").read_text())
        try:
            about = json.loads((self._runtime / f"jpserver-{self._process.pid}.json").read_text())
            self._url = f"http://127.0.0.1:{about['port']}"
            self.ask("status")
        except (OSError, ValueError):
            return False
        return True

    def _write_settings(self) -> None:
        for name, values in SETTINGS.items():
            path = self.home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps(values))
        startup = self.home / "ipython" / "profile_default" / "startup" / "10-state.py"
        startup.parent.mkdir(parents=True)
        startup.write_text(KERNEL_STARTUP)

    def _environment(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "HOPX_"))}
        folders = {
            "JUPYTER_DATA_DIR": "data",
            "IPYTHONDIR": "ipython",
            "MPLCONFIGDIR": "matplotlib",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "TMPDIR": "tmp",
        }
        for name, folder in folders.items():
            own[name] = str(self.home / folder)
            (self.home / folder).mkdir(exist_ok=True)
        own["JUPYTER_RUNTIME_DIR"] = str(self._runtime)
        return own | {"JUPYTER_NO_CONFIG": "1", "HOPX_KILL_GRACE_SECONDS": str(DEADLINE)}
