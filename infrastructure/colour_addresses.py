"""The colours' own addresses, tried as the checks reach them: name, connection, certificate, and one request."""

from __future__ import annotations

import http.client
import socket
import ssl
from urllib.parse import urlsplit

from deployment.model import Contact
from verification.http.loopback import address_of, tls_context
from verification.http.raw_http import head_over

REFUSED_BY = "x-refused-by"
"""The header of an answer with which the web ACL of a colour refuses a client; infrastructure/terraform/modules/waf sets it."""


class ColourAddresses:
    """The Addresses port on sockets; ``ca_file`` (PEM) replaces the system's certificates."""

    def __init__(self, *, timeout_s: float, ca_file: str | None = None) -> None:
        self._timeout = timeout_s
        self._ca_file = ca_file

    def contact(self, url: str) -> Contact:
        """See ``deployment.ports.Addresses``."""
        parts = urlsplit(url)
        host, secure = str(parts.hostname), parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        try:
            plain = socket.create_connection((address_of(host), port), self._timeout)
        except socket.gaierror as error:
            return Contact(False, f"{host} does not resolve ({error.strerror})")
        except TimeoutError:
            return Contact(False, f"{host} port {port} accepts no connection within {self._timeout:g} s")
        except OSError as error:
            return Contact(False, f"{host} port {port} refuses connections ({error.strerror or type(error).__name__})")
        with plain:
            try:
                open_socket = self._secured(plain, host) if secure else plain
            except ssl.SSLCertVerificationError as error:
                return Contact(False, f"the certificate of {host} is not valid: {error.verify_message}")
            except OSError as error:
                return Contact(False, f"the TLS handshake with {host} failed: {error.strerror or type(error).__name__}")
            with open_socket:
                return self._answer(open_socket, host, port)

    def _secured(self, plain: socket.socket, host: str) -> ssl.SSLSocket:
        return tls_context(self._ca_file).wrap_socket(plain, server_hostname=host)

    def _answer(self, connected: socket.socket, host: str, port: int) -> Contact:
        """Send one request: only its answer shows a web ACL. A service that does not answer is left to the gates."""
        try:
            answer = head_over(connected, host, port, self._timeout)
        except (OSError, http.client.HTTPException):
            return Contact(True, f"{host} accepts connections")
        if answer.status != http.client.FORBIDDEN:
            return Contact(True, f"{host} answers ({answer.status})")
        if answer.getheader(REFUSED_BY):
            return Contact(False, f"the web ACL of {host} refuses this machine's address (403)")
        return Contact(
            None, f"{host} answers 403: either its web ACL refuses this machine's address, or the service does"
        )
