"""Drift between the colours: only image and colour may differ, and no secret is shown."""

from __future__ import annotations

import pytest

from deployment.model import Configuration
from deployment.preflight.drift import differences
from tests.deployment.fakes import BLUE, GREEN

DIGESTS: dict[object, str | None] = {BLUE: "sha256:" + "a" * 64, GREEN: "sha256:" + "b" * 64}
PASSWORD = "canary-password-1"


def configuration(colour: str, **changes: str) -> Configuration:
    digest = DIGESTS[BLUE if colour == "blue" else GREEN]
    variables = {
        "DEPLOY_COLOR": colour,
        "BUILD_DIGEST": str(digest),
        "URL": f"postgres://{PASSWORD}@db",
        "LEVEL": "info",
    }
    rest = {"Cpu": "1024", "LogGroup": f"/aws/apprunner/production-telehealth-api-{colour}"}
    secrets = {"JWT_SECRET": "arn:aws:secretsmanager:us-east-1:123456789012:secret:jwt"}
    for name, value in changes.items():
        where = variables if name in variables or name.startswith("NEW") else secrets if name in secrets else rest
        where[name] = value
    return Configuration(variables, secrets, rest)


def diff(**changes: str) -> list[str]:
    return differences(configuration("blue"), configuration("green", **changes), DIGESTS)  # type: ignore[arg-type]  # colours are keys


def test_colour_and_image_may_differ() -> None:
    assert diff() == []


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("Cpu", "2048", "Cpu: blue '1024', green '2048'"),
        ("URL", "postgres://other@db", "variable URL differs (values are not shown)"),
        ("NEW_FLAG", "on", "variable NEW_FLAG is set only on green"),
        ("DEPLOY_COLOR", "blue", "variable DEPLOY_COLOR differs (values are not shown)"),
        ("LEVEL", "evergreen", "variable LEVEL differs (values are not shown)"),
        ("BUILD_DIGEST", "sha256:" + "a" * 64, "variable BUILD_DIGEST differs (values are not shown)"),
    ],
)
def test_anything_else_is_drift(name: str, value: str, line: str) -> None:
    assert diff(**{name: value}) == [line]


def test_secret_is_named_by_its_arn_and_no_value_is_shown() -> None:
    other = "arn:aws:secretsmanager:us-east-1:123456789012:secret:other"
    [line] = diff(JWT_SECRET=other)
    assert "secret:jwt" in line
    assert "secret:other" in line
    assert PASSWORD not in " ".join(diff(URL="postgres://x@db", Cpu="1"))
    assert PASSWORD not in repr(configuration("blue"))


def test_setting_of_only_one_colour_is_drift() -> None:
    less = Configuration({}, {}, {})
    assert differences(configuration("blue"), less, DIGESTS)[0].endswith("is set only on blue")  # type: ignore[arg-type]  # colours are keys
