"""What `%config HopxMagics` sets: the defaults of the magics."""

from typing import Any

from IPython.core.magic import magics_class
from traitlets import Bool, Enum, TraitError, Unicode, validate

from .base import HopxBase


@magics_class
class HopxMagics(HopxBase):
    """Cells as background processes. Settings: `%config HopxMagics`."""

    timeout = Unicode("none", help="Time limit of %%hopx_bg without --timeout, such as 2h; none means no limit.").tag(
        config=True
    )
    output = Enum(
        ["none", "tail", "full"], "tail", help="How much output %hopx_ps shows without --output: none, tail or full."
    ).tag(config=True)

    notify = Unicode(
        help="Where notices of %%hopx_bg --notify go: desktop, or URLs of apprise, with spaces between; "
        "if empty, what HOPX_NOTIFY in the environment says, or the desktop."
    ).tag(config=True)

    connection = Unicode(
        help="The connection when none is named or chosen: local, one that %hopx_connect shows, ssh://HOST, a URL, or "
        "the id of a sandbox. It is connected to when it is first needed; empty: local."
    ).tag(config=True)

    @validate("connection")
    def _checked_connection(self, proposal: Any) -> str:
        from ..api.connect import use_connection
        from ..errors import HopxError

        try:
            use_connection(proposal["value"])
        except (ValueError, HopxError) as error:
            raise TraitError(f"HopxMagics.connection: {error}") from None
        return str(proposal["value"])

    fork = Bool(False, help="Whether %%hopx_bg forks the kernel without --fork, for Python cells on this machine.").tag(
        config=True
    )

    @validate("notify")
    def _checked_notify(self, proposal: Any) -> str:
        from ..notices import Places

        try:
            return Places(proposal["value"])
        except ValueError as error:
            raise TraitError(f"HopxMagics.notify: {error}") from None

    @validate("timeout")
    def _checked_timeout(self, proposal: Any) -> str:
        from ..durations import parse_limit

        try:
            parse_limit(proposal["value"])
        except ValueError as error:
            raise TraitError(f"HopxMagics.timeout: {error}") from None
        return str(proposal["value"])
