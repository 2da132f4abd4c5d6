"""Output of agents that don't return it: the launch writes it to files of the sandbox, from where it is read back.

The files of a run are in one folder: `stdout`, `stderr`, `pid`, `exit_code` and the code. A launch is wrapped into bash
code that writes them, which needs bash, coreutils, and the language of the code itself.
"""

from ...words import Capture
from .deciding import decide
from .exit_codes import ExitCodes
from .reading import CapturedOutput
from .wrapping import ROOTS, is_run_id, run_folders, wrapped

__all__ = ["ROOTS", "Capture", "CapturedOutput", "ExitCodes", "decide", "is_run_id", "run_folders", "wrapped"]
