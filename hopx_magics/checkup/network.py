"""The way to a host by HTTP, step by step: the proxy, its name, its addresses, and TLS."""

import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from ..client import reaching
from ..findings import Finding, broken, ok

REACHING = 3.0
"""Seconds that a connection may take until it is there."""


def look_at_host(url: str, means: str) -> Iterator[Finding]:
    """Each step to the host of a URL, until one fails, which then `means` that."""
    parts = urlsplit(url)
    host, tls = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    if proxy := reaching.proxy_for(parts.scheme, host):
        yield ok("proxy", f"{host} is reached through {proxy}")
        return
    try:
        addresses = reaching.addresses(host, port)
    except (OSError, UnicodeError) as error:
        advice = "Is this machine on the network, and the address right? A proxy is named by HTTPS_PROXY."
        yield broken("name", f"{host} can't be found: {getattr(error, 'strerror', None) or error}", means, advice)
        return
    yield ok("name", f"{host} is {', '.join(addresses.values())}")
    four, six = addresses.get(socket.AF_INET), addresses.get(socket.AF_INET6)
    step = _reached(host, four or six or "", port, means, tls=tls)
    yield step
    if four and six and step.state == "ok":
        yield _by_ipv6(host, six, port)


def _reached(host: str, address: str, port: int, means: str, *, tls: bool) -> Finding:
    step = "TLS" if tls else "connection"
    try:
        reached = reaching.reach(host, address, port, tls=tls, timeout=REACHING)
    except ssl.SSLCertVerificationError as error:
        advice = (
            "Who opens the connection on the way, a proxy of your network say? Name its certificate: SSL_CERT_FILE."
        )
        return broken(step, f"the certificate of {host} is not accepted: {error.verify_message}", means, advice)
    except OSError as error:
        advice = "Is it on, and does no firewall forbid it? A proxy is named by HTTPS_PROXY."
        return broken(step, f"no connection to {address} port {port}: {error.strerror or error}", means, advice)
    vouched = f", certified by {reached.issuer}" if reached.issuer else ""
    return ok(step, f"after {reached.seconds * 1000:,.0f} ms{vouched}")


def _by_ipv6(host: str, address: str, port: int) -> Finding:
    try:
        reached = reaching.reach(host, address, port, tls=False, timeout=1.0)
    except OSError as error:
        return ok("IPv6", f"{address} can't be reached: {error.strerror or error}", "IPv4 is tried first, and works.")
    return ok("IPv6", f"after {reached.seconds * 1000:,.0f} ms; IPv4 is tried first")
