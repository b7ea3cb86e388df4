"""Invalid input of every kind: one clear message, exit code 4, nothing touched, no traceback."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployment.errors import CloudDenied, NotPermitted, Refused
from deployment.model import Caller
from deployment.settings import DeploymentLimits, Settings
from infrastructure import compose
from infrastructure.aws.errors import NO_CREDENTIALS
from infrastructure.aws.identity.caller import StsIdentity
from infrastructure.aws.session import Clients, Connection, clients_for
from scripts import deploy
from scripts.commands import run
from tests.checkout import CHECKOUT
from tests.plugins.project import ROOT, Project
from tests.soak import sample

Prepare = Callable[[Project], object]


def _settings(change: Callable[[str], str]) -> Prepare:
    def prepare(project: Project) -> None:
        path = project.facts.folder / "deployment.toml"
        path.write_text(change(path.read_text()))

    return prepare


def _contract(text: str | None) -> Prepare:
    """Write a description of the service whose contract has this text; None: the file is missing."""

    def prepare(project: Project) -> None:
        folder = project.facts.folder
        if text is not None:
            (folder / "contract.yaml").write_text(text)
        shipped = (ROOT / "suites" / "service.yaml").read_text()
        shipped, found = re.subn(r"(?m)^contract: .*", "contract: contract.yaml", shipped)
        assert found == 1
        (folder / "service.yaml").write_text(shipped)
        settings = folder / "deployment.toml"
        lines = settings.read_text().split("\n")
        settings.write_text(
            "\n".join('service = "service.yaml"' if line.startswith("service") else line for line in lines)
        )

    return prepare


@dataclass(frozen=True)
class Case:
    """The arguments, the words that the message must contain, the preparation, and whether a report is written."""

    args: tuple[str, ...]
    words: tuple[str, ...]
    prepare: Prepare = id
    reported: bool = True


GREEN = ("--target=green",)
CASES = {
    "settings: unknown key": Case(
        GREEN, ("unknown key 'bakee'", "did you mean 'bake'?"), _settings(lambda s: s.replace("bake =", "bakee ="))
    ),
    "settings: wrong type": Case(
        GREEN, ("deployment.bake = 'long'", "not of type 'number'"), _settings(lambda s: s.replace("= 0.4", '= "long"'))
    ),
    "settings: out of range": Case(
        GREEN, ("deployment.bake = -1", "docs/settings.md"), _settings(lambda s: s.replace("= 0.4", "= -1"))
    ),
    "settings: not TOML": Case(GREEN, ("is not TOML", "line 2"), _settings(lambda _: "\nx = \ny = 1")),
    "settings: not TOML, and a wrong option": Case(
        ("--target=red",), ("red is not a colour",), _settings(lambda _: "[[")
    ),
    "settings: empty": Case(GREEN, ("'default_environment' is a required property",), _settings(lambda _: "")),
    "settings: missing": Case(
        GREEN, ("does not exist", "docs/settings.md"), lambda p: (p.facts.folder / "deployment.toml").unlink()
    ),
    "settings: unknown default environment": Case(
        GREEN,
        ("unknown environment 'nowhere'", "known environments: test"),
        _settings(lambda s: s.replace('"test"', '"nowhere"')),
    ),
    "settings: too large a number": Case(
        GREEN,
        ("a whole number in it has more than 64 bits",),
        _settings(lambda s: f"{s}\n[gates.own]\na = 0x{'f' * 4000}\n"),
    ),
    "reports in a file": Case(
        (*GREEN, "--reports=pytest.ini"), ("reports cannot be written to", "pytest.ini"), reported=False
    ),
    "plan of reports in a file": Case(
        (*GREEN, "--plan", "--reports=pytest.ini/here"),
        ("reports cannot be written to", "is not a folder"),
        reported=False,
    ),
    "no terminal output": Case((*GREEN, "-p", "no:terminal"), ("remove -p no:terminal",), reported=False),
    "plan without terminal output": Case(
        (*GREEN, "--plan", "-p", "no:terminalreporter"), ("remove -p no:terminalreporter",), reported=False
    ),
    "testpaths: missing": Case(
        (*GREEN, "-o", "testpaths=missing"), ("testpaths names no file and no folder: missing",), reported=False
    ),
    "testpaths: missing, two words": Case(
        ("--target", "green", "--plan", "--override-ini=testpaths=missing"), ("Omit -o testpaths",), reported=False
    ),
    "testpaths: missing, verification": Case(("-o", "testpaths=missing"), ("Omit -o testpaths",), reported=False),
    "addopts: none": Case((*GREEN, "-o", "addopts="), ("-o addopts changes a setting of pytest.ini",)),
    "contract: missing": Case(GREEN, ("contract.yaml cannot be used: No such file",), _contract(None)),
    "contract: not YAML": Case(GREEN, ("is not YAML",), _contract("paths: [")),
    "contract: something else": Case(GREEN, ("#/paths", "has no paths"), _contract("openapi: 3.1.0")),
    "contract: no version": Case(GREEN, ("#/openapi", "3.0, 3.1 or 3.2"), _contract("paths: {/x: {get: {}}}")),
    "contract: Swagger 2.0": Case(GREEN, ("#/swagger", "convert it to OpenAPI 3"), _contract("swagger: '2.0'")),
    "contract: dangling $ref": Case(
        GREEN, ("#/paths/~1x/$ref", "leads nowhere"), _contract("{openapi: 3.1.0, paths: {/x: {$ref: '#/y'}}}")
    ),
    "colour": Case(("--target=red",), ("--target=red is not a colour", "blue, green, auto")),
    "colour: none": Case(("--target=",), ("is not a colour", "blue, green, auto")),
    "renamed option": Case(
        (*GREEN, "--on-sick-live=1.1.0 mends it"), ("--on-sick-live does not exist any more", "--allow-unhealthy-live")
    ),
    "renamed option, no value": Case((*GREEN, "--on-sick-live"), ("is now called --allow-unhealthy-live",)),
    "colour: live": Case(("--target=blue",), ("blue is live", "--target=green")),
    "tag: none": Case((*GREEN, "--image-tag="), ("--image-tag='' is not a valid image tag", "such as 1.1.0")),
    "tag: two words": Case((*GREEN, "--image-tag=a b"), ("--image-tag='a b' is not a valid image tag",)),
    "tag: unknown": Case((*GREEN, "--image-tag=9.9.9"), ("9.9.9", "1.0.0, 1.1.0")),
    "tag: without a target": Case(("--image-tag=1.0.0",), ("--image-tag requires --target", "--target=auto")),
    "environment: unknown": Case(
        (*GREEN, "--environment=tset"), ("unknown environment 'tset'", "did you mean 'test'?")
    ),
    "environment: none": Case((*GREEN, "--environment="), ("--environment must not be empty",)),
    "address: no scheme": Case(
        ("--base-url=localhost",), ("must be a URL with scheme and host", "https://api.example.com")
    ),
    "address: no host": Case(
        ("--base-url=http://",), ("must be a URL with scheme and host", "https://api.example.com")
    ),
    "address: no port": Case(
        ("--base-url=http://h:x",), ("must be a URL with scheme and host", "https://api.example.com")
    ),
    "address: a password": Case(("--base-url=http://u:canary@h",), ("--base-url must not contain a user",)),
    "address and target": Case((*GREEN, "--base-url=http://h"), ("--base-url", "--target", "one of them")),
    "clean plan: none": Case((*GREEN, "--require-clean-plan="), ("--require-clean-plan must not be empty",)),
    "wait: negative": Case((*GREEN, "--wait-for-lock=-1"), ("--wait-for-lock=-1",)),
    "wait: not a number": Case((*GREEN, "--wait-for-lock=soon"), ("--wait-for-lock", "'soon'"), reported=False),
    "wait: nan": Case((*GREEN, "--wait-for-lock=nan"), ("--wait-for-lock=nan",)),
    "waive: unknown gate": Case((*GREEN, "--waive=zebra=x"), ("unknown gate 'zebra'", "one of: auth")),
    "waive: no reason": Case((*GREEN, "--waive=load"), ("needs a reason", "GATE=REASON")),
    "waive: health": Case((*GREEN, "--waive=health=x"), ("health",)),
    "waive: without a target": Case(("--waive=load=x",), ("--waive", "--target")),
    "plan: without a target": Case(("--plan",), ("--plan", "--target=auto"), reported=False),
    "plan: unknown tag": Case((*GREEN, "--plan", "--image-tag=9.9.9"), ("9.9.9",), reported=False),
    "plan: contract": Case((*GREEN, "--plan"), ("contract.yaml cannot be used",), _contract(None), reported=False),
    "reports: a file": Case(
        (*GREEN, "--reports=pytest.ini"), ("reports cannot be written to", "Not a directory"), reported=False
    ),
    "unknown option": Case((*GREEN, "--nonsense"), ("--nonsense",), reported=False),
    "load workers: none": Case((*GREEN, "--load-workers=0"), ("--load-workers=0", "from 1 to 64")),
    "load workers: negative": Case((*GREEN, "--load-workers=-1"), ("--load-workers=-1", "from 1 to 64")),
    "load workers: not a number": Case((*GREEN, "--load-workers=x"), ("--load-workers", "'x'"), reported=False),
    "load workers: a fraction": Case((*GREEN, "--load-workers=1.5"), ("--load-workers", "'1.5'"), reported=False),
    "load workers: too many": Case((*GREEN, "--load-workers=65"), ("--load-workers=65", "from 1 to 64")),
    "load workers: more than users": Case(
        (*GREEN, "--load-workers=21"), ("--load-workers=21 must not exceed", "gates.load.users = 20", "more users")
    ),
    "load workers: more than users, planned": Case(
        (*GREEN, "--plan", "--load-workers=21"), ("gates.load.users = 20",), reported=False
    ),
    "load workers: no load": Case(("--load-workers=2",), ("requires the load gate", "Add --load")),
    "load workers: by the settings": Case(
        GREEN,
        ("gates.load.workers = 2 and gates.load.workers_elsewhere = 19 must not exceed",),
        _settings(lambda s: s + "[environments.test.gates.load]\nworkers = 2\nworkers_elsewhere = 19\n"),
    ),
    "load workers: no address": Case(
        GREEN,
        ("load.listen = '10.0.0.5:70000' is not allowed",),
        _settings(lambda s: s + '[environments.test.gates.load]\nlisten = "10.0.0.5:70000"\n'),
    ),
    "workers: none": Case((*GREEN, "-n", "x"), ("'x'",), reported=False),
}


# Only `make soak` runs these: in `make test` a similar case stands for each of them.
FOR_SOAK = {
    "settings: not TOML, and a wrong option",
    "contract: something else",
    "contract: no version",
    "colour: none",
    "renamed option, no value",
    "tag: two words",
    "environment: none",
    "address: no host",
    "address: no port",
    "wait: nan",
    "load workers: negative",
    "load workers: not a number",
    "load workers: a fraction",
    "load workers: too many",
    "load workers: more than users, planned",
    "plan: contract",
    "addopts: none",
}


@pytest.mark.parametrize("name", sample(CASES, *(CASES.keys() - FOR_SOAK)))
def test_bad_input(project: Project, name: str) -> None:
    case = CASES[name]
    case.prepare(project)
    run = project.run(*case.args, target=None)
    assert run.code == 4, run.output
    assert "Traceback" not in run.output
    assert "INTERNALERROR" not in run.output
    assert "canary" not in run.output
    for word in case.words:
        assert word in run.output
    assert [call for call in run.calls if call not in ("start", "stop")] == []
    if case.reported:
        assert (run.report["verdict"], run.report["exit_code"], run.report["steps"]) == ("refused", 4, [])
        assert run.report["reason"]
        assert run.output.count(run.report["reason"].partition(": ")[2].splitlines()[0]) == 1, "one message"
    else:
        assert run.report == {}


COMMANDS = {
    "no command": (["nonsense"], "No such command 'nonsense'"),
    "no tag": (["deploy"], "Missing option '--image-tag'"),
    "unknown environment": (["status", "--environment=nope"], "unknown environment 'nope'"),
    "no environment": (["status", "--environment="], "unknown environment ''"),
    "nothing up": (["rollback"], "no embedded environment is up"),
    "nothing up, named": (["rollback", "--environment=quick"], "python scripts/deploy.py up --environment quick"),
    "nothing up, named for a check": (
        ["check", "suites/auth/test_tokens.py", "--environment", "quick"],
        "python scripts/deploy.py up --environment quick",
    ),
    "reports, rollback": (["rollback", "--reports={file}"], "reports cannot be written to"),
    "reports, recover": (["recover", "--reports={file}"], "reports cannot be written to"),
    "reports, unlock": (["unlock", "--reason=x", "--reports={file}"], "reports cannot be written to"),
    "no reason": (["unlock", "--reason= "], "must not be empty"),
    "no number": (["rollback", "--wait-for-lock=soon"], "'soon' is not a valid"),
    "no id": (["approve"], "Missing argument 'ID'"),
    "no report": (["audit", "verify", "nope", "--reports={folder}"], "report nope was not found"),
    "no address": (["load-worker", "--join=here"], "--join=here must be HOST:PORT"),
    "unknown tag": (["up", "--image-tag=9.9.9"], "no image tagged '9.9.9'"),
    "state": (["up"], "cannot keep its data in"),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_bad_commands(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    arguments, words = COMMANDS[case]
    state = file / "state" if case == "state" else tmp_path / "state"
    monkeypatch.setenv("EMBEDDED_STATE", str(state))
    monkeypatch.setattr(sys, "argv", ["deploy.py", *(a.format(file=file, folder=tmp_path) for a in arguments)])
    with pytest.raises(SystemExit) as stop:
        deploy.main()
    printed = capsys.readouterr()
    assert stop.value.code == 4, printed
    assert words in printed.err
    assert "Traceback" not in printed.err
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["file"]


@pytest.mark.parametrize(
    ("given", "joined"),
    [
        (["--reports", "/d", "-q"], ["--reports=/d", "-q"]),
        (["-n", "2", "--reports=/d"], ["-n", "2", "--reports=/d"]),
        (["--reports"], ["--reports"]),
    ],
    ids=["two words", "one word", "nothing after it"],
)
def test_reports_option_is_joined_to_its_value(given: list[str], joined: list[str]) -> None:
    assert run.joined(given) == joined


@pytest.mark.parametrize(
    ("ahead", "refused"), [(0.0, False), (19.0, False), (21.0, True), (-21.0, True)], ids=lambda value: str(value)
)
def test_a_wrong_clock(ahead: float, refused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is compared with AWS's Date header; a third of the lease's 60 s is allowed."""
    settings = Settings("production", DeploymentLimits(), {}, {"provider": "aws"}, project=CHECKOUT)
    monkeypatch.setattr(StsIdentity, "caller_and_clock", lambda _: (Caller("arn:x", "1"), ahead))
    clients = clients_for(Connection("us-east-1", "123456789012"))
    if not refused:
        assert compose._caller(clients, settings).arn == "arn:x"
        return
    with pytest.raises(Refused, match=r"clock is 21 s (ahead of|behind) AWS's"):
        compose._caller(clients, settings)


def test_credentials_that_aws_rejects_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing rights refuse the run; they do not reject the release."""

    def denied(_: StsIdentity) -> tuple[Caller, float]:
        raise CloudDenied("sts GetCallerIdentity: ExpiredToken", hint="Check the credentials in use.")

    monkeypatch.setattr(StsIdentity, "caller_and_clock", denied)
    clients: Clients = clients_for(Connection("us-east-1", "123456789012"))
    settings = Settings("production", DeploymentLimits(), {}, {"provider": "aws"}, project=CHECKOUT)
    with pytest.raises(NotPermitted, match="ExpiredToken") as caught:
        compose._caller(clients, settings)
    assert "Check the credentials" in str(caught.value)


def test_missing_credentials_are_not_called_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: StsIdentity) -> tuple[Caller, float]:
        raise CloudDenied("sts GetCallerIdentity: NoCredentialsError", hint=NO_CREDENTIALS)

    monkeypatch.setattr(StsIdentity, "caller_and_clock", missing)
    clients: Clients = clients_for(Connection("us-east-1", "123456789012"))
    settings = Settings("production", DeploymentLimits(), {}, {"provider": "aws"}, project=CHECKOUT)
    with pytest.raises(NotPermitted, match="there are no credentials for environment production"):
        compose._caller(clients, settings)
