"""The public names, for type checkers: the same as `_PUBLIC` in `__init__.py` has, which a test holds."""

from IPython.core.interactiveshell import InteractiveShell

from .api.connect import connect as connect
from .api.connect import connections as connections
from .api.connect import create as create
from .api.connect import disconnect as disconnect
from .api.connect import extend as extend
from .api.connect import sandboxes as sandboxes
from .api.filters import ProcessFilters as ProcessFilters
from .api.filters import RunFilters as RunFilters
from .api.find import attach as attach
from .api.history import diff as diff
from .api.history import history as history
from .api.history import prune as prune
from .api.history import show as show
from .api.history import use_history as use_history
from .api.kill import kill as kill
from .api.launch import launch as launch
from .api.launch import launch_on_each as launch_on_each
from .api.launch import rerun as rerun
from .api.launch import sweep as sweep
from .api.logs import logs as logs
from .api.ps import frame_of as frame_of
from .api.ps import ps as ps
from .api.shell import get as get
from .api.shell import ls as ls
from .api.shell import put as put
from .api.shell import run_command as run_command
from .api.wait import wait as wait
from .api.watch import watch as watch
from .callbacks import verify_callback as verify_callback
from .connection.connection import Connection as Connection
from .connection.watcher import Update as Update
from .display.diff_page import Differences as Differences
from .display.run_page import Shown as Shown
from .errors import AgentError as AgentError
from .errors import AgentRefused as AgentRefused
from .errors import AgentUnreachable as AgentUnreachable
from .errors import AgentWarning as AgentWarning
from .errors import BadReply as BadReply
from .errors import CodeError as CodeError
from .errors import ControlPlaneError as ControlPlaneError
from .errors import CredentialsError as CredentialsError
from .errors import HistoryError as HistoryError
from .errors import HistoryWarning as HistoryWarning
from .errors import HopxError as HopxError
from .errors import InsecureConnection as InsecureConnection
from .errors import LaunchError as LaunchError
from .errors import LocalAgentError as LocalAgentError
from .errors import NotSupported as NotSupported
from .errors import NotYours as NotYours
from .errors import RunFailed as RunFailed
from .errors import SandboxError as SandboxError
from .errors import SandboxGone as SandboxGone
from .errors import SandboxNotReady as SandboxNotReady
from .errors import Unauthorized as Unauthorized
from .errors import UnknownConnection as UnknownConnection
from .errors import UnknownProcess as UnknownProcess
from .errors import UnknownRun as UnknownRun
from .errors import WaitInterrupted as WaitInterrupted
from .errors import WaitTimeout as WaitTimeout
from .launches import LaunchOptions as LaunchOptions
from .live.table import LiveTable as LiveTable
from .models import Callback as Callback
from .models import CommandResult as CommandResult
from .models import Listing as Listing
from .models import Output as Output
from .models import Process as Process
from .run import Run as Run
from .run import Sweep as Sweep
from .words import STATUSES as STATUSES

__version__: str

def load_ipython_extension(shell: InteractiveShell) -> None: ...
def unload_ipython_extension(shell: InteractiveShell) -> None: ...
