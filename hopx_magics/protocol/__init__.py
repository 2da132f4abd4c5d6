"""The wire: what is sent to an agent, and what its replies mean. Pure functions on bytes.

Two dialects of one API exist, and agents mix them: the documentation's (`started_at`, `execution_time`, output in the
listing) and that of the vendor's OpenAPI 3.2.8 (`start_time`, `duration`, `pid`, no output). A reply wholly in the
documentation's dialect is decoded straight into `Process`; everything else is read field by field, so that whatever
can't be understood costs that field of that row and nothing more.
"""

from .callbacks import EXECUTE_ASYNC, AsyncRequest, async_body
from .changes import can_be_base, compare, decode_change
from .files import (
    FILE_UNKNOWN_CODES,
    FILES_DOWNLOAD,
    FILES_EXISTS,
    FILES_LIST,
    FILES_MKDIR,
    FILES_READ,
    FILES_REMOVE,
    FILES_UPLOAD,
    FILES_WRITE,
    WORKSPACE,
    PathRequest,
    WriteRequest,
    decode_exists,
    decode_file_reply,
    decode_files,
)
from .listing import decode_listing
from .replies import ErrorReply, Launched, check_kill_reply, decode_error, decode_launched
from .requests import (
    AGENT_FILE,
    COMMANDS_BACKGROUND,
    COMMANDS_RUN,
    DELTA,
    EXECUTE,
    EXECUTE_BACKGROUND,
    HEALTH,
    INFO,
    KILL,
    PROCESS_UNKNOWN_CODES,
    PROCESSES,
    UNLIMITED,
    AgentFile,
    BackgroundRequest,
    CommandRequest,
    KillForm,
    kill_forms,
    launch_body,
    marked_name,
)

__all__ = [
    "AGENT_FILE",
    "COMMANDS_BACKGROUND",
    "COMMANDS_RUN",
    "DELTA",
    "EXECUTE",
    "EXECUTE_ASYNC",
    "EXECUTE_BACKGROUND",
    "FILES_DOWNLOAD",
    "FILES_EXISTS",
    "FILES_LIST",
    "FILES_MKDIR",
    "FILES_READ",
    "FILES_REMOVE",
    "FILES_UPLOAD",
    "FILES_WRITE",
    "FILE_UNKNOWN_CODES",
    "HEALTH",
    "INFO",
    "KILL",
    "PROCESSES",
    "PROCESS_UNKNOWN_CODES",
    "UNLIMITED",
    "WORKSPACE",
    "AgentFile",
    "AsyncRequest",
    "BackgroundRequest",
    "CommandRequest",
    "ErrorReply",
    "KillForm",
    "Launched",
    "PathRequest",
    "WriteRequest",
    "async_body",
    "can_be_base",
    "check_kill_reply",
    "compare",
    "decode_change",
    "decode_error",
    "decode_exists",
    "decode_file_reply",
    "decode_files",
    "decode_launched",
    "decode_listing",
    "kill_forms",
    "launch_body",
    "marked_name",
]
