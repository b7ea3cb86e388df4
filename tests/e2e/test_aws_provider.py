"""The commands on an environment with ``provider = "aws"``: none of them depends on the embedded provider.

The embedded cloud answers the AWS calls. The test sets only what settings of a real account cannot contain: the endpoints,
the scheme of the colours' URLs, and that the one edge location reads each write at once.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from deployment import project
from deployment.errors import Refused
from deployment.model import Colour
from infrastructure import compose, estate
from infrastructure.aws.session import Connection, Credentials
from infrastructure.embedded import cloud
from infrastructure.estate import Adapter
from scripts import deploy
from scripts.commands import run as run_command
from tests.checkout import CHECKOUT
from tests.e2e.sandbox import ROOT, Sandbox

Command = Callable[..., Result]


@pytest.fixture
def command(up_sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return a function that runs a command of scripts/deploy.py in this process, on an environment of AWS."""
    outputs = cloud.outputs(up_sandbox.state)
    assert outputs is not None
    own: dict[str, Any] = {
        "provider": "aws",
        "platform": "apprunner",
        "router": "cloudfront",
        "account": outputs.account_id,
        "region": outputs.region,
        "live_url": outputs.live_url,
        "services": dict(outputs.services),
        "key_value_store_arn": outputs.key_value_store_arn,
        "lease_table": outputs.lease_table,
        "smoke_users_secret": outputs.secrets["smoke_users"],
        "signing_key_secret": outputs.secrets["signing_key"],
        "audit_bucket": outputs.audit_bucket,
        "notifications_topic": outputs.notifications_topic,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in own.items() if key != "services"]
    services = ", ".join(f'{colour} = "{name}"' for colour, name in outputs.services.items())
    head = f'default_environment = "production"\nservice = "{ROOT}/suites/service.yaml"\n'
    settings = tmp_path / "deployment.toml"
    shutil.copy(ROOT / "checklist.toml", tmp_path)
    settings.write_text("\n".join([head, "[environments.production]", *lines, f"services = {{ {services} }}"]))
    real = estate.aws_estate

    def with_endpoints(found: Any) -> estate.Estate:
        made = real(found)
        keys = Credentials(outputs.credentials.access_key_id, outputs.credentials.secret_access_key)
        connection = Connection(outputs.region, outputs.account_id, None, keys, outputs.endpoints)
        platform = Adapter(made.platform.name, {**made.platform.options, "scheme": "http"})
        router = Adapter(made.router.name, {**made.router.options, "settling_s": 0.0})
        return replace(made, connection=connection, platform=platform, router=router)

    monkeypatch.setattr(compose, "aws_estate", with_endpoints)
    monkeypatch.setattr(project, "SETTINGS", str(settings))
    monkeypatch.setenv("PATH", "/nowhere")  # hides this machine's docker
    monkeypatch.delenv("EMBEDDED_STATE", raising=False)
    monkeypatch.setattr(cloud, "outputs", lambda _: pytest.fail("a command on AWS read the embedded outputs"))

    def run(*words: str) -> Result:
        return CliRunner().invoke(deploy.cli, list(words), catch_exceptions=True)

    return run


def test_commands_on_aws(command: Command, tmp_path: Path) -> None:
    """Each command does on AWS what it does on the embedded environment."""
    reports = ("--reports", str(tmp_path / "reports"))
    status = command("status", "--json")
    assert status.exit_code == 0, status.output
    found = json.loads(status.output)
    assert (found["environment"], found["live"]["colour"]) == ("production", Colour.BLUE)
    assert "live domain" in command("status").output
    recovered = command("recover", *reports)
    assert recovered.exit_code == 0, recovered.output
    assert "nothing to recover" in recovered.output
    attested = command("attest", "1.1.0", "code-review=jane/pull request 4711")
    assert attested.exit_code == 0, attested.output
    assert "attested: code-review of sha256:" in attested.output
    refused = {
        ("rollback", *reports): "no promotion",
        ("approve", "unknown-id"): "unknown-id",
        ("unlock", "--reason", "a test", *reports): "lock",
        ("audit", "verify", "--reports", str(tmp_path / "none")): "no report",
        ("deploy", "--image-tag", "9.9.9", "--context", str(tmp_path)): "no Dockerfile",
        ("deploy", "--image", "api:local", "--image-tag", "9.9.9"): "docker is not installed",
        ("deploy", "--image", "api:local"): "needs a tag",
    }
    for words, word in refused.items():
        ran = command(*words)
        assert isinstance(ran.exception, Refused), (words, ran.output, ran.exception)
        assert word in str(ran.exception), words


def test_known_tag_is_deployed_without_a_build(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is built; pytest gets the tag and the environment."""
    calls: list[Any] = []

    def run(*given: Any) -> int:
        calls.append(given)
        return 0

    monkeypatch.setattr(run_command, "deploy", run)
    ran = command("deploy", "--image-tag", "1.1.0", "--environment", "production", "--", "-n", "2")
    assert ran.exit_code == 0, ran.output
    assert "is in the registry already" in ran.output
    ((words, root, options, _),) = calls
    assert words[1:] == ["-m", "pytest", "--target=auto", "--image-tag=1.1.0", "--environment=production"]
    assert (root, options) == (CHECKOUT.root, ("-n", "2"))


def test_unknown_environment_is_refused_by_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """`deploy --image-tag` still starts pytest, which refuses and writes a report; `deploy --image` is refused before that."""
    calls: list[Any] = []

    def run(*given: Any) -> int:
        calls.append(given)
        return 4

    monkeypatch.setattr(run_command, "deploy", run)
    ran = CliRunner().invoke(deploy.cli, ["deploy", "--image-tag", "1.1.0", "--environment", "nowhere"])
    assert (ran.exit_code, len(calls)) == (4, 1)
    ran = CliRunner().invoke(deploy.cli, ["deploy", "--image", "x", "--environment", "nowhere"])
    assert isinstance(ran.exception, Refused)
    assert len(calls) == 1


def test_nothing_is_built_on_the_embedded_environment() -> None:
    ran = CliRunner().invoke(deploy.cli, ["deploy", "--image", "x"])
    assert isinstance(ran.exception, Refused)
    assert "is a folder" in str(ran.exception)
    assert CliRunner().invoke(deploy.cli, ["deploy"]).exit_code != 0
