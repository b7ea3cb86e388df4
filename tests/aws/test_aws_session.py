"""The inputs that select account, region and endpoint, and those that must not."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from deployment.errors import CloudDenied, SettingsError
from infrastructure.aws.identity.caller import StsIdentity
from infrastructure.aws.session import Clients, Connection, Credentials, clients_for

ACCOUNT = "123456789012"
STORE = f"arn:aws:cloudfront::{ACCOUNT}:key-value-store/00000000-0000-0000-0000-000000000000"
KEYS = Credentials("AKIAIOSFODNN7EXAMPLE", "canary-secret", "canary-token")


def test_misleading_environment_has_no_effect(clients: Clients) -> None:
    assert StsIdentity(clients).caller().account == ACCOUNT
    assert clients.client("apprunner").meta.region_name == "us-east-1"


def test_default_endpoints_are_those_of_aws() -> None:
    made = clients_for(Connection("eu-west-1", ACCOUNT, credentials=KEYS))
    assert made.client("sts").meta.endpoint_url == "https://sts.eu-west-1.amazonaws.com"
    assert made.client("dynamodb").meta.endpoint_url == "https://dynamodb.eu-west-1.amazonaws.com"


def test_attempts_and_timeouts_are_set() -> None:
    config = clients_for(Connection("eu-west-1", ACCOUNT, credentials=KEYS)).client("sts").meta.config
    assert config.retries == {"mode": "standard", "total_max_attempts": 4}
    assert (config.connect_timeout, config.read_timeout) == (5.0, 20.0)


def test_secrets_are_not_in_a_repr() -> None:
    assert "canary" not in repr(Connection("eu-west-1", ACCOUNT, credentials=KEYS))


def test_profile_comes_from_the_users_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(
        "[prod]\naws_access_key_id = AKIAPROD\naws_secret_access_key = s\n"
        "[default]\naws_access_key_id = AKIADEFAULT\naws_secret_access_key = s\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    made = clients_for(Connection("eu-west-1", ACCOUNT, profile="prod"))
    assert made.client("sts")._request_signer._credentials.access_key == "AKIAPROD"


def test_unknown_profile_is_a_settings_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(SettingsError, match="ProfileNotFound"):
        clients_for(Connection("eu-west-1", ACCOUNT, profile="prod"))


def test_without_a_profile_the_environments_keys_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    made = clients_for(Connection("eu-west-1", ACCOUNT))
    assert made.client("sts")._request_signer._credentials.access_key == "AKIAENVIRONMENT"


def test_without_a_profile_the_users_default_profile_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text("[default]\naws_access_key_id = A\naws_secret_access_key = s\n")
    (tmp_path / ".boto").write_text("[Credentials]\naws_access_key_id = A\naws_secret_access_key = s\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(CloudDenied, match="NoCredentialsError") as caught:
        StsIdentity(clients_for(Connection("eu-west-1", ACCOUNT))).caller()
    assert "AWS_ACCESS_KEY_ID" in str(caught.value.hint)
    assert "your default profile is not read" in str(caught.value.hint)


def test_key_value_store_endpoint_keeps_its_host_and_is_signed_for_it() -> None:
    seen: list[tuple[str, str, str]] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.headers["Host"], self.path, self.headers["Authorization"].split()[0]))
            body = b'{"ItemCount":0,"TotalSizeInBytes":0,"KvsARN":"a","Created":0,"Status":"READY"}'
            self.send_response(200)
            self.send_header("ETag", "E1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        host = f"127.0.0.1:{server.server_port}"
        endpoints = {"cloudfront-keyvaluestore": f"http://{host}"}
        made = clients_for(Connection("us-east-1", ACCOUNT, credentials=KEYS, endpoints=endpoints))
        answer = made.call("cloudfront-keyvaluestore", "DescribeKeyValueStore", KvsARN=STORE)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert answer["ETag"] == "E1"
    assert seen[0][0] == host
    assert seen[0][1].startswith("/key-value-stores/arn")
    assert seen[0][2] == "AWS4-ECDSA-P256-SHA256"


def test_clients_are_made_once(clients: Clients) -> None:
    assert clients.client("sts") is clients.client("sts")
    assert os.environ["AWS_PROFILE"] == "nobody"


@pytest.mark.parametrize("marker", ["NextToken", "nextToken"])
def test_every_page_is_read(clients: Clients, monkeypatch: pytest.MonkeyPatch, marker: str) -> None:
    asked: list[dict[str, str]] = []

    def call(_service: str, _operation: str, **given: str) -> dict[str, object]:
        asked.append(given)
        return {"Items": [{"N": len(asked)}], **({marker: f"page {len(asked) + 1}"} if len(asked) < 3 else {})}

    monkeypatch.setattr(clients, "call", call)
    assert clients.pages("s", "ListThings", "Items", marker=marker, A="1") == [{"N": 1}, {"N": 2}, {"N": 3}]
    assert asked == [{"A": "1"}, {"A": "1", marker: "page 2"}, {"A": "1", marker: "page 3"}]


def in_the_environment(monkeypatch: pytest.MonkeyPatch, ends: str) -> None:
    for name, value in {"ACCESS_KEY_ID": "AKIA", "SECRET_ACCESS_KEY": "s", "CREDENTIAL_EXPIRATION": ends}.items():
        monkeypatch.setenv(f"AWS_{name}", value)


@pytest.mark.parametrize("text", ["2026-01-31T12:00:00Z", "2026-01-31T14:00:00+02:00", "2026-01-31T12:00:00"])
def test_end_of_the_environments_keys_is_known(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    in_the_environment(monkeypatch, text)
    assert clients_for(Connection("eu-west-1", ACCOUNT)).expire_at() == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert clients_for(Connection("eu-west-1", ACCOUNT, credentials=KEYS)).expire_at() is None


def test_end_that_is_no_time_is_a_settings_error(monkeypatch: pytest.MonkeyPatch) -> None:
    in_the_environment(monkeypatch, "tomorrow")
    with pytest.raises(SettingsError, match="AWS_CREDENTIAL_EXPIRATION must be a time"):
        clients_for(Connection("eu-west-1", ACCOUNT))


def test_expired_keys_of_the_environment_are_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore raises a plain RuntimeError for them, before it sends anything."""
    in_the_environment(monkeypatch, "2020-01-01T00:00:00Z")
    with pytest.raises(CloudDenied, match="sts GetCallerIdentity: the credentials have expired"):
        clients_for(Connection("eu-west-1", ACCOUNT)).call("sts", "GetCallerIdentity")
