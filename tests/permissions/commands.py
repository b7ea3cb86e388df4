"""Every command of every role, run on the embedded cloud under the role's own policies."""

from __future__ import annotations

import re
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infrastructure.embedded import cloud
from infrastructure.embedded.outputs import Outputs
from tests.e2e import images, killing
from tests.e2e.sandbox import CommandResult, RunningCommand, Sandbox
from tests.permissions import enforcement
from tests.permissions.calls import Place
from tests.permissions.enforcement import Enforcement
from tests.permissions.policies import Policy
from tests.permissions.rendered import policies

ENVIRONMENTS = {"apprunner": "quick", "ecs": killing.ECS}
NAME = "production-telehealth"
KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"

PASSED = {"ecs": ("execution", "task"), "apprunner": ("ecr-access", "instance")}
"""The end of the name of each role that an update passes on."""
SHARED = ("autoscalingconfiguration", "vpcconnector", "observabilityconfiguration")

Variables = Mapping[str, Any]
Recorded = Mapping[str, Mapping[str, Mapping[str, Sequence[str]]]]
"""By role and command: ``calls`` and ``works_without``."""


def variables_of(outputs: Outputs) -> Variables:
    """Return the variables of Terraform's module ``iam`` for an embedded environment."""
    where = f"{outputs.region}:{outputs.account_id}"
    ecs = outputs.platform == "ecs"
    prefix = outputs.lease_table.removesuffix("-deploy-state")
    passed = [f"arn:aws:iam::{outputs.account_id}:role/{prefix}-{role}" for role in PASSED[outputs.platform]]
    arn = {
        True: f"arn:aws:ecs:{where}:service/{outputs.cluster}/{{}}",
        False: f"arn:aws:apprunner:{where}:service/{{}}/*",
    }
    logs = {True: "/ecs/{}:*", False: "/aws/apprunner/{}/*"}
    return {
        "name": NAME,
        "environment": "production",
        "account": outputs.account_id,
        "partition": "aws",
        "region": outputs.region,
        "platform": outputs.platform,
        "router": "alb" if ecs else "cloudfront",
        "domain_name": "api.example.com",
        "service_arns": {colour: arn[ecs].format(name) for colour, name in outputs.services.items()},
        "service_names": dict(outputs.services),
        "cluster_arn": f"arn:aws:ecs:{where}:cluster/{outputs.cluster}" if ecs else "",
        "shared_arns": [f"arn:aws:apprunner:{where}:{kind}/*" for kind in SHARED] if not ecs else [],
        "route_arns": [outputs.listener_rule_arn if ecs else outputs.key_value_store_arn],
        "repository_arn": f"arn:aws:ecr:{where}:repository/{outputs.repository}",
        "enhanced_scanning": False,
        "passed_role_arns": passed,
        "log_group_arns": [
            f"arn:aws:logs:{where}:log-group:{logs[ecs].format(name)}" for name in outputs.services.values()
        ],
        "health_check_arns": [f"arn:aws:route53:::healthcheck/{one}" for one in outputs.route53_health_checks],
        "lease_table_arn": f"arn:aws:dynamodb:{where}:table/{outputs.lease_table}",
        "audit_bucket_arn": f"arn:aws:s3:::{outputs.audit_bucket}",
        "secret_arns": list(outputs.secrets.values()),
        "smoke_users_secret_arn": outputs.secrets["smoke_users"],
        "signing_key_secret_arn": outputs.secrets["signing_key"],
        "public_key_secret_arn": outputs.secrets["signing_public_key"],
        "checked_secret_arns": [outputs.secrets["jwt_secret"], outputs.secrets["database_url"]],
        "topic_arns": [outputs.notifications_topic],
        "kms_key_arns": [KEY],
        "github_repository": None,
        "github_ids": None,
        "github_oidc_provider_arn": None,
        "operators": [],
    }


@dataclass(frozen=True)
class Ran:
    """A command that a role ran: its result, and the actions that were allowed and denied."""

    role: str
    command: str
    result: CommandResult
    allowed: Sequence[str]
    denied: Sequence[str]


class Roles:
    """Runs commands in a sandbox as roles of one environment; ``ran`` holds every command that has ended."""

    def __init__(self, sandbox: Sandbox, folder: Path, rendered: Mapping[str, Sequence[Policy]], place: Place) -> None:
        self.sandbox = sandbox
        self.ran: list[Ran] = []
        self._folder, self._rendered, self._place = folder, rendered, place
        self._settings = killing.write_fast_settings(folder)
        self._number = 0

    def run(self, role: str, command: str, *arguments: str) -> CommandResult:
        """Run ``scripts/deploy.py ARGUMENTS``, or pytest if the first argument is ``pytest``, and wait for its end."""
        running, log = self.begin(role, *arguments)
        return self.wait(role, command, running, log)

    def begin(self, role: str, *arguments: str, approval: bool = False) -> tuple[RunningCommand, Path]:
        """Start such a command; return it and the log of its calls. ``approval``: the promotion needs one."""
        self._number += 1
        own = self._folder / f"{self._number}-{role}"
        own.mkdir()
        log = own / "calls.jsonl"
        variables = Enforcement(self._place, self._rendered[role], log).save(own / "role.json")
        variables = {**variables, enforcement.SETTINGS: str(self._settings_of(role, own, approval=approval))}
        first, *rest = arguments
        script = ["-m", "pytest"] if first == "pytest" else ["scripts/deploy.py", first]
        return self.sandbox.begin([*script, *rest], f"{role}: {' '.join(arguments)}", variables), log

    def wait(self, role: str, command: str, running: RunningCommand, log: Path) -> CommandResult:
        """Wait for the end of a command, and keep what it called under the name ``command``."""
        result = self.sandbox.wait(running)
        lines = enforcement.calls(log)
        self.ran.append(Ran(role, command, result, enforcement.actions(lines), enforcement.actions(lines, denied=True)))
        return result

    def _settings_of(self, role: str, folder: Path, *, approval: bool) -> Path:
        """Write the settings with the role that every command assumes; return their path."""
        text = self._settings.read_text(encoding="utf-8")
        for gate in ("latency", "load"):  # they call nothing on AWS, and a busy machine fails them
            text, found = re.subn(
                rf"^(\[environments\.[\w-]+\.gates\.{gate}\])$", r"\1\nrequired = false", text, flags=re.MULTILINE
            )
            assert found, gate
        text = re.sub(r"^longest = \S+", "longest = 5", text, flags=re.MULTILINE)
        for environment in ENVIRONMENTS.values():
            head = f"[environments.{environment}]\n"
            text = text.replace(head, f'{head}role = "{NAME}-{role}"\n', 1)
            deployment = f"[environments.{environment}.deployment]\n"
            if approval:
                text = text.replace(deployment, f'{deployment}approval = "required"\napproval_timeout = 60\n', 1)
        shutil.copy(self._settings.with_name("checklist.toml"), folder)
        path = folder / "deployment.toml"
        path.write_text(text, encoding="utf-8")
        return path


@contextmanager
def roles(platform: str, registry: Path, stubs: Mapping[str, str]) -> Iterator[Roles]:
    """Yield the roles of a new embedded environment, 1.0.0 live on blue; ``stubs``: the environment of Terraform's core."""
    folder = Path(tempfile.mkdtemp(prefix="roles-"))
    folder.chmod(0o755)  # PostgreSQL's user must be able to pass through it
    sandbox = Sandbox(folder, registry, ENVIRONMENTS[platform])
    try:
        up = sandbox.script("up")
        assert up.code == 0, up.output
        outputs = cloud.outputs(sandbox.state)
        assert outputs is not None
        (folder / "terraform").mkdir()
        rendered = policies(folder / "terraform", stubs, variables_of(outputs))
        (folder / "roles").mkdir()
        yield Roles(
            sandbox, folder / "roles", rendered, Place(outputs.region, outputs.account_id, KEY, outputs.cluster)
        )
    finally:
        sandbox.close()
        shutil.rmtree(folder, ignore_errors=True)


def perform(own: Roles) -> list[str]:
    """Run every command of every role, in an order in which each one has something to do; return what went wrong."""
    problems: list[str] = []
    reports = f"--reports={own.sandbox.reports}"
    environment = f"--environment={own.sandbox.environment}"

    def run(role: str, command: str, *arguments: str, code: int = 0) -> None:
        result = own.run(role, command, *_with(environment, arguments))
        if result.code != code:
            problems.append(f"{role}: {command}: {result.code} instead of {code}\n{result.output}")

    def deploy(role: str, tag: str, colour: str, code: int = 0) -> None:
        run(role, "deploy", *_deploy(tag, colour, reports), code=code)

    for role in ("plan", "rollback", "release"):
        run(role, "status", "status")
    run("plan", "pytest --plan", "pytest", "--target=auto", "--plan")
    deploy("deploy-green", images.CRASHES.tag, "green", code=1)  # on App Runner the service is created for it
    deploy("deploy-green", images.NEW, "green")
    run("rollback", "rollback", "rollback", reports)
    problems += _approved(own, reports, environment)
    run("release", "attest", "attest", images.NEW, "code-review=jane/pull request 4711")
    run("release", "pytest", "pytest", reports)
    run("audit", "audit verify", "audit", "verify", reports)
    deploy("deploy-blue", images.OLD, "blue")  # which still runs it: the release starts again
    run("rollback", "retire", "retire", "--now", reports)
    _killed(own, reports, environment)
    run("rollback", "unlock", "unlock", "--force", "--reason", "its process was killed", reports)
    run("rollback", "recover", "recover", reports)
    return problems


def _with(environment: str, arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the environment, before those that go on to pytest."""
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    return [*arguments[:cut], environment, *arguments[cut:]]


def _deploy(tag: str, colour: str, reports: str) -> list[str]:
    return ["deploy", f"--image-tag={tag}", f"--target={colour}", "--", reports, "-p", "no:cacheprovider"]


def _approved(own: Roles, reports: str, environment: str) -> list[str]:
    """Deploy as ``release`` with an approval by the role ``approve``; return what went wrong."""
    arguments = _with(environment, _deploy(images.NEW, "green", reports))
    deploying, log = own.begin("release", *arguments, approval=True)
    deploying.wait_for("approval_awaited")
    folder = deploying.folder()
    assert folder is not None
    approved = own.run("approve", "approve", "approve", folder.name, "--reason", "seen", environment)
    deployed = own.wait("release", "deploy", deploying, log)
    return [one.output for one in (approved, deployed) if one.code]


def _killed(own: Roles, reports: str, environment: str) -> None:
    """Kill a deployment to green by ``release`` after its switch; its process leaves nothing that works on."""
    deploying, _ = own.begin(
        "release",
        "pytest",
        f"--image-tag={images.NEW}",
        "--target=green",
        reports,
        "-p",
        "no:cacheprovider",
        environment,
    )
    deploying.wait_for("switched")
    deploying.signal(signal.SIGKILL, group=True)
    deploying.process.wait(10)


def record(ran: Sequence[Ran]) -> Recorded:
    """Return the calls of each role's commands: those that were allowed, and those that the command works without."""
    found: dict[str, dict[str, dict[str, list[str]]]] = {}
    for one in ran:
        entry = found.setdefault(one.role, {}).setdefault(one.command, {"calls": [], "works_without": []})
        entry["calls"] = sorted({*entry["calls"], *one.allowed})
        entry["works_without"] = sorted({*entry["works_without"], *one.denied})
    return found
