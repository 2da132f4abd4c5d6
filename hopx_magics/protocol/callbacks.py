"""Launches whose end an agent tells by itself, to an address that the launch names."""

import msgspec

from ..models import Callback, Launch
from .requests import BackgroundRequest, launch_fields

EXECUTE_ASYNC = "/execute/async"


class AsyncRequest(BackgroundRequest, kw_only=True, omit_defaults=True):
    """Body of `POST /execute/async`: a background launch, and where to tell its end.

    When the process has ended, the agent posts there, as JSON: execution_id, process_id, status (completed, failed,
    timeout or killed), success, stdout and stderr (their ends), exit_code, execution_time, timestamp, error. The
    headers are those of `callback_headers`, X-HopX-Timestamp, and with a secret X-HopX-Signature: see
    `hopx_magics.callbacks`.
    """

    callback_url: str
    callback_headers: dict[str, str] | None = None
    callback_signature_secret: str | None = None


def async_body(launch: Launch, callback: Callback) -> bytes:
    """The body that launches `launch` and asks for `callback`."""
    return msgspec.json.encode(
        {
            **launch_fields(launch),
            "callback_url": callback.url,
            **({"callback_headers": callback.headers} if callback.headers else {}),
            **({"callback_signature_secret": callback.secret} if callback.secret else {}),
        }
    )
