"""TLS of the client, the prober, the load, and the live domain."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from deployment.errors import CloudUnreachable
from infrastructure.live_domain import LiveDomain
from tests.verification.contract_server import SERVICE, USER, Service
from verification.http.client import open_client
from verification.http.loopback import tls_context
from verification.http.raw_http import Connection
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
