"""The command line of ``adopt``: wrong options end with exit code 4 and one message, before AWS is asked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from deployment.errors import CloudDenied, NotPermitted
from infrastructure.aws.adoption.reader import Reader
from infrastructure.aws.session import Clients
from scripts.commands.adoption import hcl, line
from scripts.commands.adoption.adopt import values_of
from scripts.commands.adoption.model import Request
from tests.adoption import endpoints
from tests.terraform.stub.core import ROOT

ECS = ("--cluster", "main", "--service", "api")
WRONG = {
    "no region": (ECS, "no region is given, and AWS_REGION selects no estate"),
    "a wrong region": ((*ECS, "--region", "mars"), "--region 'mars' is not a region"),
    "no service": (("--region", "us-east-1"), "adopt needs one service"),
    "half a service": (("--region", "us-east-1", "--service", "api"), "adopt needs one service"),
    "two platforms": ((*ECS, "--app-runner-service", "a", "--region", "us-east-1"), "adopt needs one service"),
    "a URL with a path": ((*ECS, "--region", "us-east-1", "--live-url", "https://a.example/b"), "--live-url must not contain a path"),
    "a name with a space": (("--cluster", "main", "--service", "a b"), "--service 'a b' is not a name on AWS"),
    "one port twice": ((*ECS, "--region", "us-east-1", "--test-ports", "1", "1"), "--test-ports 1 1 are not two different"),
    "a port too high": ((*ECS, "--region", "us-east-1", "--test-ports", "1", "65536"), "are not two different ports"),
    "an unknown profile": ((*ECS, "--region", "us-east-1", "--profile", "nobody-here"), "ProfileNotFound"),
}  # fmt: skip


def command(arguments: Sequence[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "scripts/deploy.py", "adopt", "--environment", "new", *arguments],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
def test_wrong_options_are_refused(
    arguments: Sequence[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from scripts import deploy

    monkeypatch.setattr(sys, "argv", ["scripts/deploy.py", "adopt", "--environment", "new", *arguments])
    monkeypatch.delenv("AWS_CONFIG_FILE")
    monkeypatch.delenv("AWS_SHARED_CREDENTIALS_FILE")
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as ended:
        deploy._run()
    assert ended.value.code == 4
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_the_command_reaches_aws_and_says_what_is_wrong(clients: Clients, moto_url: str) -> None:
    """In a process of its own: exit code 4, one message, no traceback."""
    named = endpoints.variables({"default": moto_url}, "AKIAIOSFODNN7EXAMPLE", "not-a-real-secret", ROOT)
    done = command([*ECS, "--region", clients.target.region], {"PATH": "/usr/bin:/bin", **named})
    assert done.returncode == 4, done.stderr
    assert "refused: ECS cluster main does not exist in this account and region" in done.stderr
    assert "Traceback" not in done.stderr


def test_credentials_that_aws_refuses_are_no_missing_right(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise CloudDenied("ecs DescribeServices: ExpiredTokenException", hint="Check the credentials.")

    monkeypatch.setattr(clients, "call", denied)
    with pytest.raises(NotPermitted, match="AWS refuses the credentials: ecs DescribeServices: ExpiredToken"):
        Reader(clients).call("ecs", "DescribeServices", services=["a"])


@pytest.mark.parametrize(
    ("service", "colour", "second"),
    [
        ("api", "blue", "api-green"),
        ("api-blue", "blue", "api-green"),
        ("green-api", "green", "blue-api"),
        ("greenhouse", "blue", "greenhouse-green"),
    ],
)
def test_names_of_the_second_service(service: str, colour: str, second: str) -> None:
    request = Request("production", service, "main", "1", "us-east-1")
    assert (str(request.colour), request.second) == (colour, second)


def test_names_of_parts_fit_aws() -> None:
    request = Request("Production_EU", "A_Very_Long_Name_Of_A_Service_That_Exists", "main", "123456789012", "us-east-1")
    assert len(f"{request.name}-access-logs-123456789012") <= 63
    assert request.name == "production-eu-a-very-long-name-of-a-se"


def test_values_are_no_templates_of_terraform(tmp_path: Path) -> None:
    module = hcl.Module("a", "live-rule", {"text": 'a "${b}" %{c}', "flags": [True, None], "map": {"k": 1}})
    text = hcl.render(hcl.Configuration("1", "us-east-1", [module]), tmp_path)
    assert r'text  = "a \"$${b}\" %%{c}"' in text
    assert "flags = [true, null]" in text
    assert "map   = { k = 1 }" in text


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"environments": {"new": {"region": "us-east-1", "profile": "p"}}}, ("us-east-1", "p")),
        ({"environments": {"new": {"region": 5}}}, (None, None)),
        ({"environments": {"other": {"region": "us-east-1"}}}, (None, None)),
        ({"environments": 5}, (None, None)),
        ({}, (None, None)),
    ],
)
def test_region_and_profile_of_an_existing_environment(document: dict[str, object], expected: object) -> None:
    assert values_of(document, "new") == expected


def test_every_option_is_a_field_or_handled() -> None:
    known = {option.name for option in line.adopt.params}
    assert known >= {"environment", "cluster", "service", "app_runner_service", "terraform", "replace", "rule"}
