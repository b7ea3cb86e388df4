"""``adopt`` on an ECS service that another team's Terraform made: the missing parts, the Terraform for them, the settings."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from deployment.errors import Refused
from deployment.model import Colour
from deployment.preflight import drift
from deployment.preflight.items import Outcome, Subject
from deployment.settings import load
from infrastructure.aws.adoption.reader import Reader
from infrastructure.aws.ecs.platform import EcsPlatform
from infrastructure.aws.load_balancer.router import AlbRouter
from infrastructure.aws.session import Clients
from infrastructure.estate import aws_estate
from scripts.commands.adoption.adopt import Places, adopt
from scripts.commands.adoption.model import Request
from tests.adoption import bakery
from tests.adoption.asked import ENVIRONMENT, Changed, parts_of, report_of, request
from tests.adoption.bakery import (
    Bakery,
    forward,
    host,
    in_the_default_action,
    other_group,
    path,
    shared_rule,
    taken_port,
)
from tests.adoption.fits import misfits, referred
from tests.terraform.stub import core

ROOT = core.ROOT


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    return Path(shutil.copy(ROOT / "deployment.toml", tmp_path))


@pytest.fixture
def estate(clients: Clients) -> Bakery:
    """Return an estate that the test may change."""
    return bakery.made(clients)


@pytest.fixture(scope="module")
def whole(clients: Clients) -> Bakery:
    """Return an estate in which nothing is missing, and that no test changes."""
    own = bakery.made(clients)
    bakery.mend(clients, own)
    bakery.complete(clients, own, request(own).environment)
    return own


@pytest.fixture(scope="module")
def untouched(clients: Clients) -> Bakery:
    """Return an estate that no test changes."""
    return bakery.made(clients)


MADE = [
    "second target group",
    "weighted rule",
    "test listener of blue",
    "test listener of green",
    "second service",
    "lock and evidence",
    "secrets",
]


def test_everything_that_is_missing_is_named_and_no_secret_is_shown(
    clients: Clients, untouched: Bakery, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = settings.read_bytes()
    assert adopt(clients, request(untouched), Places(settings)) == 1
    shown = capsys.readouterr().out
    assert misfits(shown) == []
    assert referred(shown) == {"green_target_group.arn", "green_test_listener.target_group_arn"}
    assert parts_of(shown) == [*MADE, "circuit breaker of blue", "grace period of blue", "immutable tags"]
    assert f"behind rule 100 of port 443 for {untouched.domain} of load balancer {untouched.cluster}" in shown
    assert "call adopt again after `terraform apply`" in shown
    assert "is reached through" not in shown
    assert "does not copy" not in shown
    assert bakery.PASSWORD not in shown
    assert bakery.HEADER not in shown
    assert settings.read_bytes() == before


@pytest.mark.soak
def test_the_terraform_is_for_exactly_that_and_valid(
    clients: Clients, untouched: Bakery, settings: Path, terraform: Mapping[str, str], tmp_path: Path
) -> None:
    """Terraform's own core formats, validates and plans it beside the modules that it names."""
    tree = tmp_path / "infrastructure" / "terraform"
    shutil.copytree(core.TREE / "modules", tree / "modules")
    place = tree / "shop" / "adopted.tf"
    place.parent.mkdir()
    assert adopt(clients, request(untouched), Places(settings, place)) == 1
    text = place.read_text(encoding="utf-8")
    text = re.sub(r'source = "[^"]*/modules/', 'source = "./modules/', text)
    (tree / "main.tf").write_text(text, encoding="utf-8")
    shutil.rmtree(place.parent)
    *_, planned, shown = core.workspace(tmp_path / "tree", terraform, tree).run(
        ("fmt", "-check", "-diff", "-no-color"),
        ("init", "-input=false", "-no-color"),
        ("validate", "-json"),
        ("plan", "-input=false", "-no-color", "-out=plan", '-var=verifier_cidrs=["192.0.2.0/28"]'),
        ("show", "-json", "plan"),
    )
    assert planned.code == 0, planned.out + planned.err
    modules = shown.document()["planned_values"]["root_module"]["child_modules"]
    assert {one["address"].removeprefix("module.") for one in modules} == {
        "blue_test_listener",
        "deploy_state",
        "green_service",
        "green_target_group",
        "green_test_listener",
        "live_rule",
        "secrets",
    }
    planned_values = {one["address"]: one.get("values", {}) for each in modules for one in each["resources"]}
    service = planned_values["module.green_service.aws_ecs_service.main"]
    assert (service["name"], service["task_definition"]) == ("storefront-green", untouched.definition)
    assert {one["capacity_provider"] for one in service["capacity_provider_strategy"]} == {"FARGATE", "FARGATE_SPOT"}
    rule = planned_values["module.live_rule.aws_lb_listener_rule.main"]
    assert (rule["priority"], rule["listener_arn"]) == (99, untouched.listener)
    assert not [address for address in planned_values if "task_definition" in address]


def test_nothing_is_missing_once_the_parts_exist(
    clients: Clients, whole: Bakery, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second call writes the settings, the third one changes nothing, and the deployer accepts the estate."""
    own = request(whole)
    assert adopt(clients, own, Places(settings)) == 0
    shown = capsys.readouterr().out
    assert "nothing is missing" in shown
    assert f"--environment {own.environment} --plan" in shown
    written = settings.read_bytes()
    assert adopt(clients, own, Places(settings)) == 0
    assert "is up to date" in capsys.readouterr().out
    assert settings.read_bytes() == written
    found = aws_estate(load(settings, own.environment))
    assert found.live_url == f"https://{whole.domain}"
    assert found.platform.options["colour_urls"] == {
        Colour.BLUE: f"https://{whole.domain}:8443",
        Colour.GREEN: f"https://{whole.domain}:8444",
    }
    assert (found.lease_table, found.audit_bucket) == (f"{own.name}-deploy-state", f"{own.name}-audit-123456789012")
    assert found.signing_key_secret is not None
    assert found.signing_public_key_secret is not None
    platform, router = EcsPlatform(clients, **found.platform.options), AlbRouter(clients, **found.router.options)
    routes = router.observe()
    assert (routes.live, routes.weights) == (Colour.BLUE, {Colour.BLUE: 100, Colour.GREEN: 0})
    services = {colour: platform.describe(colour) for colour in Colour}
    assert [one.obstacle for one in services.values()] == [None, None]
    subject = Subject(None, Colour.GREEN, routes, services)  # type: ignore[arg-type]  # drift needs no image
    assert drift.item(platform, subject).outcome is Outcome.OK


def test_a_table_with_other_values_is_replaced_only_on_request(
    clients: Clients, whole: Bakery, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = request(whole)
    adopt(clients, own, Places(settings))
    changed = settings.read_text(encoding="utf-8").replace(f"{own.name}-deploy-state", "mine")
    settings.write_text(changed, encoding="utf-8")
    with pytest.raises(Refused, match=r"exists with other values:\n  .*mine") as refused:
        adopt(clients, own, Places(settings))
    assert "--replace" in str(refused.value)
    assert settings.read_text(encoding="utf-8") == changed
    capsys.readouterr()
    adopt(clients, own, Places(settings, replace=True))
    assert load(settings, own.environment).estate["lease_table"] == f"{own.name}-deploy-state"


def test_a_terraform_file_is_never_replaced(
    clients: Clients, untouched: Bakery, settings: Path, tmp_path: Path
) -> None:
    place = tmp_path / "adopted.tf"
    adopt(clients, request(untouched), Places(settings, place))
    assert adopt(clients, request(untouched), Places(settings, place)) == 1, "the same content is up to date"
    text = place.read_text(encoding="utf-8") + "# mine\n"
    place.write_text(text, encoding="utf-8")
    with pytest.raises(Refused, match="would destroy"):
        adopt(clients, request(untouched), Places(settings, place))
    assert place.read_text(encoding="utf-8") == text


# -- other estates -------------------------------------------------------------------------------------------------------


def test_the_default_action_gets_a_rule_behind_all_others(
    clients: Clients, estate: Bakery, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    in_the_default_action(clients, estate)
    with pytest.raises(Refused, match=r"(?s)names no host.*--live-url"):
        adopt(clients, request(estate), Places(settings))
    adopt(clients, request(estate, live_url="https://api.bakery.example"), Places(settings))
    shown = capsys.readouterr().out
    (rule,) = re.findall(r'module "live_rule" \{\n(.*?)\n\}', shown, re.DOTALL)
    assert re.search(r"priority += 111$", rule, re.MULTILINE)
    assert "like_arn" not in rule


def test_second_service_that_differs_is_named_without_values(
    clients: Clients, estate: Bakery, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = request(estate)
    bakery.mend(clients, estate)
    bakery.complete(clients, estate, own.environment)
    definition = bakery.task_definition(clients, f"{estate.cluster}-other", "other.bakery.example")
    clients.call("ecs", "UpdateService", cluster=estate.cluster, service="storefront-green", taskDefinition=definition)
    assert adopt(clients, own, Places(settings)) == 1
    shown = capsys.readouterr().out
    assert parts_of(shown) == ["equal services"]
    assert "variable node.DOMAIN differs (values are not shown)" in shown
    assert bakery.PASSWORD not in shown


def test_the_test_listeners_have_every_certificate_of_the_live_one(
    clients: Clients, estate: Bakery, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a shared listener, the default certificate is often another domain's."""
    more = [clients.call("acm", "RequestCertificate", DomainName=f"{name}.example")["CertificateArn"] for name in "ab"]
    certificates = [{"CertificateArn": arn} for arn in more]
    clients.call("elbv2", "AddListenerCertificates", ListenerArn=estate.listener, Certificates=certificates)
    adopt(clients, request(estate), Places(settings))
    shown = capsys.readouterr().out
    assert misfits(shown) == []
    listed = f'more_certificate_arns += ["{more[0]}", "{more[1]}"]'
    assert len(re.findall(listed.replace("[", r"\["), shown)) == 2


def test_a_secret_that_waits_for_its_deletion_is_restored(
    clients: Clients, estate: Bakery, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """AWS refuses a new secret of its name, so no Terraform for it is printed."""
    own = request(estate)
    place = own.signing_key_secret
    clients.call("secretsmanager", "CreateSecret", Name=place, SecretString="x")
    clients.call("secretsmanager", "DeleteSecret", SecretId=place, RecoveryWindowInDays=7)
    assert adopt(clients, own, Places(settings)) == 1
    shown = capsys.readouterr().out
    assert f"secret {place} is scheduled for deletion" in shown
    assert f"aws secretsmanager restore-secret --secret-id {place}" in shown
    assert re.search(r'names += \["signing-public-key", "smoke-users"\]', shown)
    clients.call("secretsmanager", "RestoreSecret", SecretId=place)
    adopt(clients, own, Places(settings))
    assert "is scheduled for deletion" not in capsys.readouterr().out


def test_the_named_rule_decides_and_not_another_one_with_weights(
    clients: Clients, estate: Bakery, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bakery.mend(clients, estate)
    bakery.complete(clients, estate, request(estate).environment)
    before = settings.read_bytes()
    assert adopt(clients, request(estate, rule=estate.rule), Places(settings)) == 1
    shown = capsys.readouterr().out
    assert "rule 100 of port 443" in shown
    assert "has no free priority right before it" in shown
    assert settings.read_bytes() == before, "the settings would name a rule without weights"
    (weighted,) = (
        one
        for one in clients.call("elbv2", "DescribeRules", ListenerArn=estate.listener)["Rules"]
        if one["Priority"] == "99"
    )
    more = {
        "ListenerArn": estate.listener,
        "Priority": 90,
        "Conditions": [host(estate.domain), path("/v2*")],
        "Actions": weighted["Actions"],
    }
    second = clients.call("elbv2", "CreateRule", **more)["Rules"][0]["RuleArn"]
    with pytest.raises(Refused, match="3 rules forward users"):
        adopt(clients, request(estate), Places(settings))
    assert adopt(clients, request(estate, rule=second), Places(settings)) == 1
    assert parts_of(capsys.readouterr().out) == ["other rules", "other rules"]
    assert load(settings, request(estate).environment).estate["listener_rule_arn"] == second


def test_two_services_in_one_target_group_are_parted(
    clients: Clients, estate: Bakery, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bakery.second_service(clients, estate, estate.group)
    assert adopt(clients, request(estate), Places(settings)) == 1
    named = parts_of(capsys.readouterr().out)
    assert {"second target group", "weighted rule", "target group of the second service"} <= set(named)


def test_other_live_rules_are_named(
    clients: Clients, estate: Bakery, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clients.call(
        "elbv2",
        "CreateRule",
        ListenerArn=estate.listener,
        Priority=200,
        Conditions=[path("/old-shop*")],
        Actions=forward(estate.group),
    )
    with pytest.raises(Refused, match=r"(?s)2 rules forward users .*rule 100 of .*rule 200 of") as refused:
        adopt(clients, request(estate), Places(settings))
    assert "--rule ARN" in str(refused.value)
    adopt(clients, request(estate, rule=estate.rule), Places(settings))
    assert "rule 200 of port 443 forwards to blue as well, and a switch does not move it" in capsys.readouterr().out


def test_sign_in_before_the_service_is_left_to_its_own_terraform(
    clients: Clients, estate: Bakery, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """AWS does not return the secret of a sign-in, so no module could repeat the action."""
    config = {
        "UserPoolArn": "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_1",
        "UserPoolClientId": "c",
        "UserPoolDomain": "d",
    }
    sign_in = {"Type": "authenticate-cognito", "Order": 1, "AuthenticateCognitoConfig": config}
    clients.call(
        "elbv2", "ModifyRule", RuleArn=estate.rule, Actions=[sign_in, {**forward(estate.group)[0], "Order": 2}]
    )
    adopt(clients, request(estate), Places(settings))
    shown = capsys.readouterr().out
    assert "has the actions authenticate-cognito, forward" in shown
    assert 'module "live_rule"' not in shown


# -- estates that cannot be adopted --------------------------------------------------------------------------------------


CHANGED: Mapping[str, tuple[Callable[[Clients, Bakery], None], str]] = {
    "a port that is taken": (taken_port, r"port 8443 .* is taken .*--test-ports"),
    "a rule for three groups": (shared_rule, r"also forwards to targetgroup/\S+, targetgroup/\S+, which belongs to neither"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), CHANGED.values(), ids=CHANGED)
def test_estate_that_cannot_be_adopted_is_refused(
    change: Callable[[Clients, Bakery], None], message: str, clients: Clients, estate: Bakery, settings: Path
) -> None:
    change(clients, estate)
    before = settings.read_bytes()
    with pytest.raises(Refused, match=re.compile(message, re.DOTALL)):
        adopt(clients, request(estate), Places(settings))
    assert settings.read_bytes() == before


OPTIONS: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "another rule": ({"rule": "arn:x"}, r"--rule arn:x forwards no users .*rule 100 of port 443"),
    "no rule for users": ({"test_ports": (443, 8444)}, "no rule forwards users to .* except on ports 443"),
    "a table that is missing": ({"lease_table": "gone"}, "DynamoDB table gone does not exist .*Omit --lease-table"),
    "a secret that is missing": ({"signing_key_secret": "gone"}, "secret gone does not exist .*Omit --signing-key-secret"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "message"), OPTIONS.values(), ids=OPTIONS)
def test_option_that_fits_no_estate_is_refused(
    given: Mapping[str, Any], message: str, clients: Clients, untouched: Bakery, settings: Path
) -> None:
    with pytest.raises(Refused, match=re.compile(message, re.DOTALL)):
        adopt(clients, request(untouched, **given), Places(settings))


def test_codedeploy_is_a_part_to_change(clients: Clients, settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    estate = bakery.made(clients, deploymentController={"type": "CODE_DEPLOY"})
    adopt(clients, request(estate), Places(settings))
    shown = capsys.readouterr().out
    assert "deployment controller is CODE_DEPLOY" in shown
    assert 'deployment_controller { type = "ECS" }' in shown


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("eu-west-1:123456789012", "is in region eu-west-1, and adopt reads region us-east-1"),
        ("us-east-1:999999999999", "is in account 999999999999, and adopt reads account 123456789012"),
    ],
)
def test_a_cluster_elsewhere_is_not_taken_for_one_of_the_same_name(
    place: str, message: str, clients: Clients, untouched: Bakery, settings: Path
) -> None:
    asked = Request(
        ENVIRONMENT, untouched.service, f"arn:aws:ecs:{place}:cluster/{untouched.cluster}", "123456789012", "us-east-1"
    )
    with pytest.raises(Refused, match=message):
        adopt(clients, asked, Places(settings))
    here = replace(asked, cluster=f"arn:aws:ecs:us-east-1:123456789012:cluster/{untouched.cluster}")
    assert adopt(clients, here, Places(settings)) == 1


@pytest.mark.parametrize("part", ["cluster", "service"])
def test_name_that_does_not_exist_is_refused(part: str, clients: Clients, untouched: Bakery, settings: Path) -> None:
    names = {"cluster": untouched.cluster, "service": untouched.service, part: "nowhere"}
    asked = Request(ENVIRONMENT, names["service"], names["cluster"], "123456789012", "us-east-1")
    with pytest.raises(Refused, match=r"ECS cluster nowhere does not exist|no service nowhere"):
        adopt(clients, asked, Places(settings))


def test_a_call_that_may_write_is_refused(clients: Clients) -> None:
    with pytest.raises(ValueError, match="only reads"):
        Reader(clients).call("elbv2", "ModifyRule", RuleArn="arn:x", Actions=[])


# -- parts that few teams use --------------------------------------------------------------------------------------------


def test_other_ways_to_the_service_are_noted(
    clients: Clients, untouched: Bakery, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A switch moves no request of Service Connect, and the module makes no service with it."""
    connect = {"enabled": True, "namespace": "n", "services": [{"portName": "http"}]}
    said = report_of(
        clients,
        untouched,
        settings,
        capsys,
        lambda one: one["deployments"][0].update(serviceConnectConfiguration=connect),
    )
    assert "storefront is reached through Service Connect as well: a switch does not move those requests" in said
    assert "does not copy from storefront: service_connect_configuration." in said


def test_the_values_of_codedeploy_are_those_of_its_primary_task_set(
    clients: Clients, untouched: Bakery, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """CodeDeploy's task sets have the task definition, the network and the target group."""

    def change(service: dict[str, Any]) -> None:
        moved = {key: service.pop(key) for key in ("taskDefinition", "loadBalancers", "networkConfiguration")}
        strategy = service.pop("capacityProviderStrategy")
        service.update(
            deploymentController={"type": "CODE_DEPLOY"},
            deployments=[],
            taskSets=[
                {"status": "ACTIVE", "taskDefinition": "arn:former"},
                {"status": "PRIMARY", **moved, "capacityProviderStrategy": strategy},
            ],
        )

    said = report_of(clients, untouched, settings, capsys, change)
    assert parts_of(said)[: len(MADE) + 1] == [*MADE, "deployments of blue"]
    assert "deployment controller is CODE_DEPLOY" in said
    assert untouched.definition in said
    assert "FARGATE_SPOT" in said
    assert "arn:former" not in said


def test_a_service_without_tasks_gets_bounds_that_fit(
    clients: Clients, untouched: Bakery, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With bounds of 0 and 0, Terraform would refuse a second service of at least one task."""

    def change(answer: dict[str, Any]) -> None:
        answer["ScalableTargets"] = [
            {
                "ServiceNamespace": "ecs",
                "ResourceId": "service/a/b",
                "ScalableDimension": "ecs:service:DesiredCount",
                "MinCapacity": 0,
                "MaxCapacity": 0,
                "RoleARN": "arn:r",
                "CreationTime": 0,
            }
        ]

    given = cast(Clients, Changed(clients, "DescribeScalableTargets", change))
    adopt(given, request(untouched), Places(settings))
    said = capsys.readouterr().out
    assert re.search(r"min_size += 1$", said, re.MULTILINE)
    assert re.search(r"max_size += 1$", said, re.MULTILINE)


def test_a_target_group_that_another_service_uses_is_not_taken(clients: Clients, settings: Path) -> None:
    """A team's canary is another service: its target group must not get another service's tasks."""
    own = bakery.made(clients)
    canary = other_group(clients, own, f"{own.cluster}-canary", Protocol="HTTP")
    targets = [{"TargetGroupArn": group, "Weight": weight} for group, weight in ((own.group, 95), (canary, 5))]
    actions = [{"Type": "forward", "ForwardConfig": {"TargetGroups": targets}}]
    clients.call("elbv2", "ModifyRule", RuleArn=own.rule, Actions=actions)
    message = (
        r"rule 100 of port 443 .* sends requests to targetgroup/\S+-canary/\S+ as well, and no service storefront-green"
    )
    with pytest.raises(Refused, match=message) as refused:
        adopt(clients, request(own), Places(settings))
    assert "--second-service" in str(refused.value)
    bakery.second_service(clients, own, canary, serviceName="storefront-canary")
    assert adopt(clients, request(own, second_service="storefront-canary"), Places(settings)) == 1
