"""The live domain's name and certificate, checked as a client does: name resolution, then one handshake."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime
from urllib.parse import urlsplit

from deployment.errors import CloudUnreachable
from deployment.model import DomainState
from verification.http.loopback import address_of, tls_context


class LiveDomain:
    """The Domain port on a URL; ``ca_file`` (PEM) replaces the system's certificates."""

    def __init__(self, url: str, *, timeout_s: float, ca_file: str | None = None) -> None:
        self._url = url
        self._timeout = timeout_s
        self._ca_file = ca_file

    def observe(self) -> DomainState:
        """See ``deployment.ports.Domain``."""
        parts = urlsplit(self._url)
        host, secure = str(parts.hostname), parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        try:
            found = socket.getaddrinfo(address_of(host), port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise CloudUnreachable(f"{host} does not resolve: {error.strerror or type(error).__name__}") from error
        addresses = tuple(dict.fromkeys(str(address[0]) for *_, address in found))
        return DomainState(host, addresses, self._ends(host, port) if secure else None)

    def _ends(self, host: str, port: int) -> datetime:
        """Return when the certificate that a handshake accepts ends. Raises CloudUnreachable if it accepts none."""
        try:
            with (
                socket.create_connection((address_of(host), port), self._timeout) as plain,
                tls_context(self._ca_file).wrap_socket(plain, server_hostname=host) as secured,
            ):
                certificate = secured.getpeercert() or {}
        except ssl.SSLCertVerificationError as error:
            raise CloudUnreachable(f"the certificate of {host} is not valid: {error.verify_message}") from error
        except OSError as error:
            raise CloudUnreachable(
                f"the TLS handshake with {host} failed: {error.strerror or type(error).__name__}"
            ) from error
        return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
