"""Connections, sandboxes and files as DataFrames."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..models import FileInfo, Sandbox
from . import arrays

if TYPE_CHECKING:
    import pandas as pd


def connections_frame(rows: Sequence[tuple[str, str | None, str | None, bool, bool]]) -> "pd.DataFrame":
    """One row a connection: `name`, `url`, `sandbox`, whether it is the `current` one, and `connected` at all."""
    import pandas as pd

    return pd.DataFrame(
        {
            "name": arrays.texts([name for name, *_ in rows]),
            "url": arrays.texts([url for _, url, *_ in rows]),
            "sandbox": arrays.texts([sandbox for _, _, sandbox, *_ in rows]),
            "current": arrays.truths([current for *_, current, _ in rows]),
            "connected": arrays.truths([connected for *_, connected in rows]),
        }
    )


def sandboxes_frame(rows: Sequence[tuple[Sandbox, str | None]]) -> "pd.DataFrame":
    """One row a sandbox, each with the connection to it. `expires_in` is a timedelta."""
    import pandas as pd

    sandboxes = [sandbox for sandbox, _ in rows]
    expires_at = arrays.times([sandbox.expires_at for sandbox in sandboxes])
    return pd.DataFrame(
        {
            "sandbox": arrays.texts([sandbox.sandbox_id for sandbox in sandboxes]),
            "status": arrays.texts([sandbox.status_detail or sandbox.status for sandbox in sandboxes]),
            "template": arrays.texts([sandbox.template for sandbox in sandboxes]),
            "region": arrays.texts([sandbox.region for sandbox in sandboxes]),
            "vcpu": arrays.integers([sandbox.vcpu for sandbox in sandboxes]),
            "memory_mb": arrays.integers([sandbox.memory_mb for sandbox in sandboxes]),
            "disk_mb": arrays.integers([sandbox.disk_mb for sandbox in sandboxes]),
            "created_at": arrays.times([sandbox.created_at for sandbox in sandboxes]),
            "expires_at": expires_at,
            "expires_in": expires_at - pd.Timestamp(datetime.now(UTC)).floor("s"),
            "connected": arrays.texts([connection for _, connection in rows]),
        }
    )


def files_frame(files: Sequence[FileInfo]) -> "pd.DataFrame":
    """One row a file or folder; `size` is in bytes."""
    import pandas as pd

    return pd.DataFrame(
        {
            "name": arrays.texts([file.name for file in files]),
            "size": arrays.integers([file.size for file in files]),
            "is_directory": arrays.truths([file.is_directory for file in files]),
            "permissions": arrays.texts([file.permissions for file in files]),
            "modified_at": arrays.times([file.modified_at for file in files]),
            "path": arrays.texts([file.path for file in files]),
        }
    )
