"""Sandbox objects of the vendor's SDK, as far as they tell where an agent is. The SDK itself is not needed for it."""

from typing import Any

import httpx

from ..errors import SandboxError, SandboxNotReady
from ..output.oneline import printable
from .transport import Endpoint, checked_url


class VendorSandbox:
    """Where the agent of a live `hopx_ai.Sandbox` object is, as that object says; a `Locate` for a transport."""

    def __init__(self, sandbox: Any) -> None:
        self._sandbox = sandbox
        self._refused: str | None = None

    @property
    def sandbox_id(self) -> str:
        """The sandbox's id."""
        return str(self._sandbox.sandbox_id)

    def __call__(self, http: httpx.Client) -> Endpoint:
        """The endpoint, with a token that is not the one that was refused. Raises SandboxError."""
        try:
            host = str(self._sandbox.get_info().public_host or "")
            token = self._sandbox.get_token()
            if token == self._refused:
                self._sandbox.refresh_token()
                token = self._sandbox.get_token()
        except Exception as error:  # the object is another library's, with errors of its own
            raise SandboxError(f"sandbox {self.sandbox_id}: {printable(str(error))}") from None
        self._refused = token
        if not host:
            raise SandboxNotReady(f"sandbox {self.sandbox_id} has no address yet", hint="Try again in some seconds.")
        return Endpoint(checked_url(host if "://" in host else f"https://{host}"), token)


def is_vendor_sandbox(value: object) -> bool:
    """Whether this is a sandbox object of the vendor's SDK, or behaves like one."""
    return all(hasattr(value, name) for name in ("sandbox_id", "get_info", "get_token"))
