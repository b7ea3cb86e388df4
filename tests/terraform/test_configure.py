"""``scripts/deploy.py configure``: one table of one file changes, and only by Terraform's outputs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from deployment.errors import Refused
from deployment.settings import SCHEMA_FILE, load
from scripts.commands import configure
from tests.terraform.stub.core import ROOT, TREE

SHIPPED = ROOT / "deployment.toml"
CANARY = "hunter2-canary"
OUTPUTS: dict[str, Any] = {
    "environment": "production",
    "platform": "apprunner",
    "router": "cloudfront",
    "account": "210987654321",
    "region": "eu-central-1",
    "live_url": "https://api.example.com",
    "services": {"blue": "production-telehealth-api-blue", "green": "production-telehealth-api-green"},
    "key_value_store_arn": "arn:aws:cloudfront::210987654321:key-value-store/11111111-2222-3333-4444-555555555555",
    "lease_table": "production-telehealth-deploy-state",
    "smoke_users_secret": "arn:aws:secretsmanager:eu-central-1:210987654321:secret:production/telehealth/smoke-users-a1",
    "audit_bucket": "production-telehealth-audit-210987654321",
    "repository_url": "210987654321.dkr.ecr.eu-central-1.amazonaws.com/telehealth-api",
}


def printed(**changes: Any) -> str:
    """Return the text of ``terraform output -json``; a value of None is a null output, which Terraform omits."""
    found = {name: value for name, value in (OUTPUTS | changes).items() if value is not None}
    return json.dumps({name: {"sensitive": False, "type": "dynamic", "value": value} for name, value in found.items()})


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "deployment.toml"
    path.write_text(SHIPPED.read_text(encoding="utf-8"), encoding="utf-8")
    path.chmod(0o640)
    return path


def test_every_setting_of_an_estate_is_an_output() -> None:
    """`configure` reads only outputs of the root module, and a person sets the other keys of the schema."""
    outputs = set(re.findall(r'^output "(\w+)"', (TREE / "outputs.tf").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(configure.KEYS) | set(configure.CHOSEN) <= outputs
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))["$defs"]["aws_environment"]["properties"]
    by_hand = {"provider", "profile", "deployment", "gates", "access", "listener_arn"}
    by_hand |= {"signing_key_file", "signing_public_key_file", "earlier_public_key_files", "secrets", "audit_folder"}
    assert set(schema) - set(configure.KEYS) - set(configure.CHOSEN) - by_hand == set()


def test_chosen_secrets_are_written_and_a_persons_own_stay(settings: Path) -> None:
    """`checked_secrets` of Terraform becomes settings; without it, a secret that a person named is not removed."""
    text = settings.read_text(encoding="utf-8")
    own = 'lease_table = "production-telehealth-deploy-state"\n'
    settings.write_text(text.replace(own, own + 'token_secret = "mine"\n', 1), encoding="utf-8")
    assert configure.configure(settings, "production", printed(), dry_run=False) == 0
    assert load(settings, "production").estate["token_secret"] == "mine"
    arn = "arn:aws:secretsmanager:eu-central-1:210987654321:secret:production/telehealth/verifier-redis-url-a1"
    assert configure.configure(settings, "production", printed(redis_url_secret=arn), dry_run=False) == 0
    assert load(settings, "production").estate["redis_url_secret"] == arn


def test_audit_folder_is_kept_instead_of_the_bucket(settings: Path) -> None:
    text = settings.read_text(encoding="utf-8")
    own = 'lease_table = "production-telehealth-deploy-state"\n'
    settings.write_text(text.replace(own, 'audit_folder = "file:///mnt/audit"\n' + own, 1), encoding="utf-8")
    assert configure.configure(settings, "production", printed(), dry_run=False) == 0
    found = load(settings, "production").estate
    assert found["audit_folder"] == "file:///mnt/audit"
    assert "audit_bucket" not in found


@pytest.mark.parametrize("where", ["behind it", "at the end of the file"])
def test_only_its_own_table_changes(settings: Path, where: str) -> None:
    """Comments, order, other environments and a person's own keys stay unchanged, for each position of its other tables."""
    text = settings.read_text(encoding="utf-8")
    own = 'lease_table = "production-telehealth-deploy-state"\n'
    text = text.replace(own, own + 'profile = "prod" # ours\n', 1)
    more, ecs = "\n[environments.production.gates.load]\nusers = 600 # many\n", "\n# The same service on ECS"
    text = text.replace(ecs, more + ecs) if where == "behind it" else text + more
    settings.write_text(text, encoding="utf-8")
    assert configure.configure(settings, "production", printed(), dry_run=False) == 0
    after = settings.read_text(encoding="utf-8")
    gone = [line for line in text.splitlines() if line not in after.splitlines()]
    assert all(line.split(" = ")[0] in OUTPUTS for line in gone)
    assert [line for line in after.splitlines() if line.lstrip().startswith("#")] == [
        line for line in text.splitlines() if line.lstrip().startswith("#")
    ]
    before, now = tomllib.loads(text), tomllib.loads(after)
    table = now["environments"].pop("production")
    del before["environments"]["production"]
    assert now == before
    assert table["profile"] == "prod"
    assert table["gates"]["load"] == {"users": 600}
    assert settings.stat().st_mode & 0o777 == 0o640
    assert list(settings.parent.iterdir()) == [settings]


def test_keys_of_the_former_router_are_removed(settings: Path) -> None:
    """An environment that moves to another platform loses the keys that the new platform refuses."""
    group = "arn:aws:elasticloadbalancing:eu-central-1:210987654321:targetgroup/{}/1"
    changes = {
        "platform": "ecs",
        "router": "route53",
        "key_value_store_arn": None,
        "cluster": "production-telehealth",
        "target_groups": {colour: group.format(colour) for colour in ("blue", "green")},
        "colour_urls": {colour: f"https://{colour}.api.example.com:8443" for colour in ("blue", "green")},
        "hosted_zone_id": "Z1",
        "record_name": "api.example.com",
        "set_identifiers": {"blue": "blue", "green": "green"},
        "resolvers": ["1.1.1.1"],
    }
    assert configure.configure(settings, "production", printed(**changes), dry_run=False) == 0
    assert "key_value_store_arn" not in load(settings, "production").estate
    assert configure.configure(settings, "production", printed(), dry_run=False) == 0
    assert not {"cluster", "resolvers", "target_groups"} & set(load(settings, "production").estate)


def test_a_new_environment_gets_a_table(settings: Path) -> None:
    assert configure.configure(settings, "staging", printed(environment="staging"), dry_run=False) == 0
    assert load(settings, "staging").estate["account"] == "210987654321"


def test_signing_key_file_is_kept(settings: Path) -> None:
    text = settings.read_text(encoding="utf-8")
    own = 'key_value_store_arn = "arn:aws:cloudfront::123456789012'
    settings.write_text(text.replace(own, 'signing_key_file = "key.pem"\n' + own, 1), encoding="utf-8")
    secret = "arn:aws:secretsmanager:eu-central-1:210987654321:secret:production/telehealth/signing-key-a1"
    configure.configure(settings, "production", printed(signing_key_secret=secret), dry_run=False)
    assert "signing_key_secret" not in load(settings, "production").estate


def test_dry_run_shows_the_diff_and_writes_nothing(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = settings.read_bytes()
    assert configure.configure(settings, "production", printed(), dry_run=True) == 0
    assert settings.read_bytes() == before
    shown = capsys.readouterr().out
    assert '-account = "123456789012"' in shown
    assert '+account = "210987654321"' in shown


INVALID_OUTPUTS = {
    "nothing": ("", "not JSON"),
    "words": ("Warning: No outputs found", "not JSON"),
    "a list": ("[]", "not the output of Terraform"),
    "plain values": ('{"platform": "ecs"}', "not the output of Terraform"),
    "an empty state": ("{}", "nothing was applied"),
    "another environment's": (printed(environment="staging"), "environment 'staging', not of 'production'"),
    "another tree's": (printed(environment=None), "name no environment"),
    "half an estate": (printed(lease_table=None), "'lease_table' is a required property"),
    "a wrong account": (printed(account="12"), "account"),
    "two accounts": (printed(account="111122223333"), "belongs to account 210987654321"),
    "an impossible pair": (printed(router="route53"), "cannot work"),
}


@pytest.mark.parametrize(("text", "message"), INVALID_OUTPUTS.values(), ids=INVALID_OUTPUTS)
def test_invalid_terraform_output_is_refused(text: str, message: str, settings: Path) -> None:
    before = settings.read_bytes()
    with pytest.raises(Refused, match=re.escape(message)):
        configure.configure(settings, "production", text, dry_run=False)
    assert settings.read_bytes() == before


SECRETS = {
    "the users themselves": {"smoke_users_secret": json.dumps([{"email": "a@example.com", "password": CANARY}])},
    "a key": {"signing_key_secret": f"-----BEGIN PRIVATE KEY-----\n{CANARY}"},
    "an address with a password": {"live_url": f"https://me:{CANARY}@api.example.com"},
    "a password in a table": {"services": {"blue": f"postgres://u:{CANARY}@db", "green": "g"}},
}


@pytest.mark.parametrize("changes", SECRETS.values(), ids=SECRETS)
def test_secret_is_neither_written_nor_printed(
    changes: dict[str, Any], settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = settings.read_bytes()
    with pytest.raises(Refused, match="is a secret") as refused:
        configure.configure(settings, "production", printed(**changes), dry_run=False)
    assert settings.read_bytes() == before
    assert CANARY not in str(refused.value) + capsys.readouterr().out


def test_a_sensitive_output_is_refused(settings: Path) -> None:
    document = json.loads(printed())
    document["lease_table"]["sensitive"] = True
    with pytest.raises(Refused, match="lease_table is a secret"):
        configure.configure(settings, "production", json.dumps(document), dry_run=False)


@pytest.mark.parametrize("name", ["embedded", "quick"])
def test_embedded_environment_is_refused(name: str, settings: Path) -> None:
    with pytest.raises(Refused, match="is not on AWS"):
        configure.configure(settings, name, printed(environment=name), dry_run=False)


def test_the_command_reads_standard_input() -> None:
    """As the document describes it: exit 0 and a diff, or exit 4 and one message."""
    for text, code in ((printed(), 0), ("", 4)):
        done = subprocess.run(
            [sys.executable, "scripts/deploy.py", "configure", "--environment", "production", "--dry-run"],
            cwd=ROOT,
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        assert ("210987654321" in done.stdout) == (code == 0)


def test_a_byte_order_mark_stays(settings: Path) -> None:
    settings.write_text(settings.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert configure.configure(settings, "production", printed(), dry_run=False) == 0
    assert settings.read_text(encoding="utf-8").startswith("\ufeff")
    assert load(settings, "production").estate["account"] == "210987654321"


def test_files_that_are_nested_too_deep_are_refused(settings: Path) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    with pytest.raises(Refused, match="not JSON"):
        configure.read(deep, "production")
    settings.write_text(f"a = {deep[95_000:105_000]}\n")
    with pytest.raises(Refused, match=r"deployment\.toml is not TOML: .* nested more than 100 levels deep"):
        configure.configure(settings, "production", printed(), dry_run=False)
