"""Reaching a host step by step, to see at which one it fails: its name, its addresses, and TLS."""

import socket
import ssl
import time
import urllib.request
from typing import NamedTuple

import httpx


class Reached(NamedTuple):
    """A host that was connected to: by which address, after how many seconds, and who vouches for it."""

    address: str
    seconds: float
    issuer: str | None


def proxy_for(scheme: str, host: str) -> str | None:
    """The proxy through which the environment has a host reached."""
    if urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get(scheme) or proxies.get("all")


def addresses(host: str, port: int) -> dict[socket.AddressFamily, str]:
    """The first address of each family that a host has. Raises OSError."""
    found: dict[socket.AddressFamily, str] = {}
    for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        found.setdefault(family, str(address[0]))
    return found


def reach(host: str, address: str, port: int, *, tls: bool, timeout: float) -> Reached:
    """Connects to an address of a host, with its certificate verified if `tls`. Raises OSError, as TLS's errors are."""
    begun = time.monotonic()
    with socket.create_connection((address, port), timeout) as plain:
        if not tls:
            return Reached(address, time.monotonic() - begun, None)
        with httpx.create_ssl_context().wrap_socket(plain, server_hostname=host) as secure:
            return Reached(address, time.monotonic() - begun, _issuer(secure))


def _issuer(secure: ssl.SSLSocket) -> str | None:
    names = dict(part[0] for part in (secure.getpeercert() or {}).get("issuer", ()) if part)  # type: ignore[misc]
    return names.get("organizationName") or names.get("commonName")
