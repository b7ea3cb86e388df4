"""TLS of the client, the prober, the load, and the live domain."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from deployment.errors import CloudUnreachable
from infrastructure.colour_addresses import REFUSED_BY, ColourAddresses
from infrastructure.live_domain import LiveDomain
from tests.verification.contract_server import SERVICE, USER, Service
from tests.verification.test_streams import accept
from verification.http import websocket
from verification.http.answer_limits import AnswerLimits
from verification.http.client import RecordingClient, open_client
from verification.http.loopback import tls_context
from verification.http.raw_http import Connection
from verification.http.websocket import open_websocket
from verification.journeys.accounts import SmokeUser
from verification.journeys.model import Service as Described
from verification.load.run import LoadPlan, run_load
from verification.prober.config import ProberConfig
from verification.prober.prober import Prober

NAME = "api.telehealth.localhost"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for the live domain and its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    path = tmp_path / "server.pem"
    path.write_bytes(built.public_bytes(serialization.Encoding.PEM) + private)
    return path


@pytest.fixture
def secure_url(service: Service, certificate: Path) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    # The thread of each request does its handshake, at the first read: one bad client must not block the others.
    service.server.socket = context.wrap_socket(service.server.socket, server_side=True, do_handshake_on_connect=False)
    return f"https://{NAME}:{service.port}"


def test_client_checks_the_name_although_the_address_is_loopback(secure_url: str, certificate: Path) -> None:
    with open_client(secure_url, timeout_s=5, ca_file=str(certificate)) as client:
        assert client.get("/health").json()["status"] == "ok"
    with open_client(secure_url, timeout_s=5) as client, pytest.raises(httpx.ConnectError, match="CERTIFICATE"):
        client.get("/health")
    wrong = secure_url.replace("api.", "other.")
    with open_client(wrong, timeout_s=5, ca_file=str(certificate)) as client, pytest.raises(httpx.ConnectError):
        client.get("/health")


def test_prober_checks_the_certificate(secure_url: str, certificate: Path, described: Described) -> None:
    connection = Connection(secure_url, tls_context(str(certificate)), 5)
    assert connection.ask("GET", "/health", {}, None).status == 200
    assert connection.usable
    connection.close()
    without_ca = Connection(secure_url, tls_context(None), 5)
    with pytest.raises(ssl.SSLCertVerificationError):
        without_ca.ask("GET", "/health", {}, None)
    without_ca.close()
    config = ProberConfig(secure_url, SmokeUser(**USER), described, rate=100, ca_file=str(certificate))
    with Prober.start(config) as prober:
        prober.wait_for_samples(20, 20)
        assert prober.failures() == []


def test_load_accepts_the_ca_file(secure_url: str, certificate: Path, tmp_path: Path) -> None:
    plan = LoadPlan(secure_url, SERVICE, (SmokeUser(**USER),), users=2, rate=20, seconds=1, ca_file=str(certificate))
    result = run_load(plan, log=tmp_path / "load.log")
    assert (result.failures, result.errors) == (0, ())
    assert result.requests > 5


def test_certificate_of_the_live_domain_is_observed(secure_url: str, certificate: Path) -> None:
    """A real handshake shows when the certificate expires and why one is not valid."""
    found = LiveDomain(secure_url, timeout_s=5, ca_file=str(certificate)).observe()
    assert (found.host, found.addresses) == (NAME, ("127.0.0.1",))
    assert found.expires_at is not None
    assert timedelta(minutes=50) < found.expires_at - datetime.now(UTC) < timedelta(hours=1)
    with pytest.raises(CloudUnreachable, match=r"certificate of .* is not valid"):
        LiveDomain(secure_url, timeout_s=5).observe()
    other = secure_url.replace("api.", "other.")
    with pytest.raises(CloudUnreachable, match="is not valid"):
        LiveDomain(other, timeout_s=5, ca_file=str(certificate)).observe()


def test_live_domain_without_tls_or_address(service: Service) -> None:
    assert LiveDomain(f"http://{NAME}:{service.port}", timeout_s=5).observe().expires_at is None
    with pytest.raises(CloudUnreachable, match="does not resolve"):
        LiveDomain("https://no-such-host.invalid", timeout_s=5).observe()
    with pytest.raises(CloudUnreachable, match=r"TLS handshake with .* failed"):
        LiveDomain(f"https://{NAME}:{service.port}", timeout_s=5).observe()


def test_colours_own_address_is_tried(secure_url: str, certificate: Path) -> None:
    """Name, connection, certificate and answer: each fault has its own words."""
    assert ColourAddresses(timeout_s=5, ca_file=str(certificate)).contact(secure_url).reached
    found = ColourAddresses(timeout_s=5).contact(secure_url)
    assert (found.reached, f"the certificate of {NAME} is not valid" in found.detail) == (False, True)
    nowhere = ColourAddresses(timeout_s=5).contact("https://no-such-host.invalid:8443")
    assert (nowhere.reached, "no-such-host.invalid does not resolve" in nowhere.detail) == (False, True)


def test_closed_ports_are_out_of_reach() -> None:
    """Nothing listens; or a firewall drops the packets, as a security group does: here a full backlog does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        closed = ColourAddresses(timeout_s=5).contact(f"http://{NAME}:{port}")
        assert (closed.reached, f"{NAME} port {port} refuses connections" in closed.detail) == (False, True)
        free.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        silent = ColourAddresses(timeout_s=0.1).contact(f"http://{NAME}:{port}")
        for one in waiting:
            one.close()
    assert (silent.reached, silent.detail) == (False, f"{NAME} port {port} accepts no connection within 0.1 s")


@pytest.mark.parametrize(
    ("answer", "reached", "words"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", True, "answers (503)"),
        (b"not http", True, "accepts connections"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", None, "either its web ACL"),
        (f"HTTP/1.1 403 Forbidden\r\n{REFUSED_BY}: verifier_cidrs\r\n\r\n".encode(), False, "refuses this machine"),
    ],
)
def test_web_acl_is_told_from_the_service(answer: bytes, reached: bool | None, words: str) -> None:
    """App Runner accepts every connection; only its web ACL's answer shows that the checks would be refused."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer_once() -> None:
            one, _ = server.accept()
            with one:
                one.recv(4096)
                one.sendall(answer)

        thread = threading.Thread(target=answer_once)
        thread.start()
        found = ColourAddresses(timeout_s=5).contact(f"http://127.0.0.1:{server.getsockname()[1]}")
        thread.join(5)
    assert (found.reached, words in found.detail) == (reached, True), found


def test_websocket_over_tls_has_a_limit_for_a_message(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library removes the time-out of a socket with TLS: a service that does not read would stop the check for ever."""
    monkeypatch.setattr(websocket, "tls_context", lambda _: tls_context(str(certificate)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept_only() -> None:
            plain, _ = server.accept()
            with context.wrap_socket(plain, server_side=True) as secured:
                secured.sendall(accept(secured.recv(65_536)))
                ended.wait(20)

        thread = threading.Thread(target=accept_only)
        thread.start()
        limits = AnswerLimits(deadline_s=1.0)
        url = f"https://{NAME}:{server.getsockname()[1]}"
        try:
            with (
                open_client(url, timeout_s=5, answers=limits) as client,
                open_websocket(cast(RecordingClient, client), "/chat", limits) as chat,
                pytest.raises(websocket.ConversationFailed, match=r"did not take the message within 1 s$"),
            ):
                chat.send("x" * 12_000_000)
        finally:
            ended.set()
            thread.join(5)
