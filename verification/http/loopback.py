"""``*.localhost`` is the loopback address (RFC 6761, section 6.3); Python's resolver may not know it, browsers and curl do."""

from __future__ import annotations

import ssl

LOOPBACK = "127.0.0.1"


def address_of(host: str) -> str:
    """Return the address to connect to for a URL's host: 127.0.0.1 for ``*.localhost``, any other host unchanged."""
    name = host.rstrip(".").lower()
    return LOOPBACK if name == "localhost" or name.endswith(".localhost") else host


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Return a TLS context that checks certificates against ``ca_file`` (PEM), or against the system's store if it is None."""
    return ssl.create_default_context(cafile=ca_file)
