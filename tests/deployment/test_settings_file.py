"""``deployment.toml``: defaults, overrides, and what it may not say."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployment.errors import SettingsError
from deployment.settings import DeploymentLimits, load

SHIPPED = Path(__file__).resolve().parents[2] / "deployment.toml"
HEAD = 'default_environment = "e"\nrepository = "r"\ncontract = "c.yaml"\n'
BODY = '[environments.e]\nprovider = "embedded"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "deployment.toml"


def test_defaults(file: Path) -> None:
    file.write_text(HEAD + BODY)
    settings = load(file)
    assert settings.limits == DeploymentLimits()
    assert (settings.environment, settings.provider, settings.contract) == ("e", "embedded", file.parent / "c.yaml")
    assert (settings.rule("anything").required, settings.rule("anything").min_checks) == (True, 1)


def test_environment_overrides_key_by_key(file: Path) -> None:
    own = "[environments.e.deployment]\nbake = 5\n[environments.e.gates.load]\nusers = 3\n"
    file.write_text(HEAD + "[deployment]\nbake = 60\nlease_ttl = 30\n[gates.load]\nusers = 9\nrate = 7\n" + BODY + own)
    settings = load(file, "e")
    assert (settings.limits.bake, settings.limits.lease_ttl) == (5, 30)
    assert settings.gates["load"] == {"users": 3, "rate": 7}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "[deployment]\nbaek = 5\n" + BODY, "unknown key 'baek'.*did you mean 'bake'"),
        (HEAD + "[gates.health]\nintervall = 5\n" + BODY, "unknown key 'intervall'.*did you mean 'interval'"),
        (HEAD + "[gates.load]\nuser = 5\n" + BODY, "did you mean 'users'"),
        (HEAD + BODY + "regoin = 'x'\n", "unknown key 'regoin'"),
        (HEAD + "depoyment = 1\n" + BODY, "did you mean 'deployment'"),
        (HEAD + '[deployment]\nbake = "5"\n' + BODY, r"deployment\.bake"),
        (HEAD + "[deployment]\nbake = true\n" + BODY, r"deployment\.bake"),
        (HEAD + "[deployment]\nbake = 0\n" + BODY, r"deployment\.bake"),
        (HEAD + "[deployment]\nbake = nan\n" + BODY, "nan"),
        (HEAD + "[deployment]\nbake = inf\n" + BODY, "inf"),
        (HEAD + "[deployment]\nconfirmations = 2.5\n" + BODY, r"deployment\.confirmations"),
        (HEAD + "[gates.health]\nrequired = false\n" + BODY, r"gates\.health\.required"),
        (HEAD + "[gates.live]\nrequired = false\n" + BODY, r"gates\.live\.required"),
        (HEAD + '[environments.e]\nprovider = "gcp"\n', "provider"),
        (HEAD + '[environments.e]\nprovider = "aws"\n', "account"),
        (BODY, "default_environment"),
        ("not = = toml", "not TOML"),
    ],
)
def test_what_it_may_not_say(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(SettingsError, match=message):
        load(file)


def test_unknown_environment_names_the_nearest_and_all(file: Path) -> None:
    file.write_text(HEAD + BODY + '[environments.staging]\nprovider = "embedded"\n')
    with pytest.raises(SettingsError, match=r"'stagin'.*did you mean 'staging'") as caught:
        load(file, "stagin")
    assert "e, staging" in (caught.value.hint or "")


def test_missing_unreadable_and_undecodable(file: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no"):
        load(file)
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="not TOML"):
        load(file)


def test_shipped_production_keeps_the_promises() -> None:
    settings = load(SHIPPED, "production")
    limits, gates = settings.limits, settings.gates
    assert (settings.provider, limits.bake, limits.rollback_timeout) == ("aws", 300, 300)
    assert (gates["health"]["attempts"], gates["health"]["interval"]) == (10, 30)
    assert gates["health"]["consecutive"] > 1
    assert gates["latency"]["p95_ms"] == 1000


def test_shipped_default_is_the_embedded_one() -> None:
    settings = load(SHIPPED)
    assert (settings.environment, settings.provider, settings.repository) == ("embedded", "embedded", "telehealth-api")
    assert settings.limits.bake == 10
    assert settings.gates["health"]["attempts"] == 10
    assert settings.contract.is_file()


@pytest.mark.parametrize("environment", ["embedded", "production"])
def test_every_shipped_gate_is_required_and_has_a_minimum(environment: str) -> None:
    settings = load(SHIPPED, environment)
    assert set(settings.gates) == {"health", "database", "redis", "auth", "endpoints", "latency", "load", "live"}
    assert all(settings.rule(gate).required and "min_checks" in settings.gates[gate] for gate in settings.gates)
