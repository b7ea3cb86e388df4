"""The whole applied estate of each pair: equal colours, nothing open, everything encrypted, traffic not changed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks import estate_cost
from deployment.model import Colour
from deployment.preflight.terraform_parts import belongs_to, owned_by
from deployment.settings import SCHEMA_FILE, load
from infrastructure.aws.ecs.requests import register_request
from infrastructure.estate import aws_estate
from scripts.commands import configure
from tests.permissions import table
from tests.terraform.aws_models import REQUESTS, UNCONSTRAINED, kind_of, refused
from tests.terraform.conftest import Estate
from tests.terraform.destruction import kept
from tests.terraform.documented_costs import documented_costs
from tests.terraform.required_rights import BESIDE, PERFORMS, PUSH, beside, needed
from tests.terraform.rights import allows, of_roles, trust
from tests.terraform.stub import core
from tests.terraform.stub.values import ACCOUNT, REGION

COLOURS = ("blue", "green")
ALIKE = (
    "app_runner[",
    "ecs_service[",
    "aws_lb_target_group.",
    "aws_cloudwatch_metric_alarm.",
    "aws_cloudwatch_composite_alarm.",
)
# The parts that AWS generates: UUIDs and hexadecimal parts of ARNs; besides, the short names of the load balancers.
GENERATED = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[0-9a-f]{16,32}\b|telehealth-[bg]\b")


def test_aws_accepts_every_value(estate: Estate) -> None:
    """No value breaks a pattern, an enum, a length, a range or a count."""
    problems, compared = [], 0
    policies = {address: values for address, values in estate.resources.items() if kind_of(address) == "aws_iam_policy"}
    for address, values in {**estate.planned, **policies}.items():  # a plan does not know the ARNs in a policy yet
        kind = kind_of(address)
        if not kind.startswith("aws_"):
            continue
        assert kind in REQUESTS or kind in UNCONSTRAINED, f"{kind}: add its request"
        found, number = refused(kind, values)
        problems += [f"{address}: {one}" for one in found]
        compared += number
    assert problems == []
    assert compared > 300, "values were not found in the models"


def test_an_apply_moves_no_traffic_and_deploys_nothing(estate: Estate) -> None:
    """After a promotion to green a plan changes at most the function's fallback colour, for a store that is silent.

    This holds even if the variables name other images, or the registry has a newer one.
    """
    image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/telehealth-api@sha256:" + "b" * 64
    found = changes(estate, deployed, "-var", f"image_blue={image}", "-var", f"image_green={image}")
    function = "module.front_door[0].aws_cloudfront_function.request"
    assert set(found) == ({function} if estate.router == "cloudfront" else set())
    if found:
        before, after = (found[function][when]["code"] for when in ("before", "after"))
        assert 'LAST_KNOWN = {"colour":"green"' in after
        assert re.sub("LAST_KNOWN = .*", "", before) == re.sub("LAST_KNOWN = .*", "", after)


def test_apply_restores_terraforms_own_values(estate: Estate) -> None:
    """The test above is not blind: Terraform reverts manual changes and applies new variables of a service.

    On ECS they become a new task definition, which the next deployment takes; on App Runner they apply at once.
    """
    if estate.router == "route53":  # two pairs are enough
        return
    found = set(changes(estate, drifted, "-var", "rate_limit_max_requests=77"))
    ecs, apprunner = 'ecs_service["{}"].aws_ecs_task_definition.main[0]', 'app_runner["{}"].aws_apprunner_service.main'
    services = {f"module.{(ecs if estate.platform == 'ecs' else apprunner).format(colour)}" for colour in COLOURS}
    assert found == {"module.database.aws_db_instance.main", *services}


def test_colours_differ_only_in_their_names(estate: Estate) -> None:
    """The resources that run or watch a colour are the other colour's with the colour's name replaced."""
    blue, green = (dict(of_colour(estate, colour)) for colour in COLOURS)
    assert len(blue) >= 6
    assert blue == green


def test_a_clean_plan_may_change_what_a_colour_runs_and_nothing_that_routes(estate: Estate) -> None:
    """``--require-clean-plan`` accepts changes of the idle colour's own resources; routes with its name are not among them."""
    named = {one for one in estate.planned if belongs_to(one, Colour.GREEN)}
    owned = {one for one in named if owned_by({"address": one, "change": {}}, one, Colour.GREEN)}
    kinds = {kind_of(one) for one in named - owned}
    assert {one for one in estate.planned if "ecs_service[" in one or "app_runner[" in one} & named <= owned
    assert {kind_of(one) for one in owned} >= {"aws_cloudwatch_composite_alarm"}
    routes = {"alb": {"aws_lb_listener_rule"}, "route53": {"aws_lb_listener_rule", "aws_route53_record"}}
    assert routes.get(estate.router, set()) <= kinds
    owned_kinds = {kind_of(one) for one in owned}
    assert not [
        one for one in owned_kinds if "listener" in one or "record" in one or "cloudfront" in one or one == "aws_lb"
    ]


def test_only_the_front_door_is_public(estate: Estate) -> None:
    """The public reaches only a live listener over TLS, or CloudFront; a colour's own address requires a proof."""
    open_to_all = {
        address: (rule["from_port"], rule["to_port"])
        for address, rule in estate.of("aws_vpc_security_group_ingress_rule").items()
        if rule["cidr_ipv4"] == "0.0.0.0/0" or rule["cidr_ipv6"]
    }
    assert set(open_to_all.values()) <= {(443, 443), (80, 80)}
    plain = {address: one for address, one in estate.of("aws_lb_listener").items() if one["protocol"] != "HTTPS"}
    assert {one["port"] for one in plain.values()} == ({80} if open_to_all else set())
    for one in plain.values():  # the only port without TLS serves nothing
        (action,) = one["default_action"]
        (redirect,) = action["redirect"]
        assert (action["type"], redirect["protocol"], redirect["port"]) == ("redirect", "HTTPS", "443")
    assert all("load_balancer" in address for address in open_to_all)
    assert bool(open_to_all) == (estate.platform == "ecs")
    assert not any(subnet["map_public_ip_on_launch"] for subnet in estate.of("aws_subnet").values())
    assert all(
        not service["network_configuration"][0]["assign_public_ip"] for service in estate.of("aws_ecs_service").values()
    )
    walls = {address: acl["default_action"][0] for address, acl in estate.of("aws_wafv2_web_acl").items()}
    if estate.platform == "apprunner":
        assert walls["module.colour_waf[0].aws_wafv2_web_acl.main"]["block"]
        assert len(estate.of("aws_wafv2_web_acl_association")) == 2
    assert walls


def test_everything_is_encrypted(estate: Estate) -> None:
    """The estate's own key encrypts everything except access logs, whose writers cannot use a key."""
    keys = {"aws_cloudwatch_log_group": "kms_key_id", "aws_secretsmanager_secret": "kms_key_id"}
    keys |= {"aws_db_instance": "kms_key_id", "aws_elasticache_replication_group": "kms_key_id"}
    keys |= {"aws_sns_topic": "kms_master_key_id"}
    for kind, key in keys.items():
        found = estate.of(kind)
        assert found, kind
        assert all(":key/" in values[key] for values in found.values()), kind
    rules = {
        address: values["rule"][0]["apply_server_side_encryption_by_default"][0]["sse_algorithm"]
        for address, values in estate.of("aws_s3_bucket_server_side_encryption_configuration").items()
    }
    assert {address.rpartition(".")[2]: rule for address, rule in rules.items()} == {
        "audit": "aws:kms",
        "access_logs": "AES256",
    }
    assert estate.of("aws_kms_key")
    assert all(key["enable_key_rotation"] for key in estate.of("aws_kms_key").values())


def test_no_secret_is_in_a_services_variables(estate: Estate) -> None:
    """Secrets are named by ARN; plain variables contain no password."""
    plain, named = variables(estate)
    assert set(named) == {"DATABASE_URL", "JWT_SECRET", "REDIS_AUTH_TOKEN"}
    assert all(arn.startswith("arn:aws:secretsmanager:") for arn in named.values())
    assert plain["REDIS_TLS"] == "true"
    assert not any(
        "password" in f"{name}{value}".lower() or "://" in value.removeprefix("https://")
        for name, value in plain.items()
    )
    assert "current_environment" not in json.dumps(estate.document)


def test_alarms_notify_the_team(estate: Estate) -> None:
    """Alarms notify topics of their own region, and the team subscribes to each topic."""
    topics = {values["arn"] for values in estate.of("aws_sns_topic").values()}
    subscribed = {values["topic_arn"] for values in estate.of("aws_sns_topic_subscription").values()}
    assert topics == subscribed
    silent = [
        address
        for address, alarm in estate.of("aws_cloudwatch_metric_alarm").items()
        if not set(alarm["alarm_actions"] or ()) & topics
    ]
    assert all(".instances[" in address for address in silent)
    named = {values["alarm_name"] for values in estate.of("aws_cloudwatch_composite_alarm").values()}
    (asked,) = estate.outputs["alarms"]["value"]
    assert {asked.replace("{colour}", colour) for colour in COLOURS} == named


def test_deployer_loads_terraforms_outputs(estate: Estate, tmp_path: Path) -> None:
    """The deployer reads every written value, to the last ARN, and a second `configure` writes nothing."""
    settings = tmp_path / "deployment.toml"
    settings.write_text((core.ROOT / "deployment.toml").read_text(encoding="utf-8"), encoding="utf-8")
    text = json.dumps(estate.outputs)
    assert configure.configure(settings, "production", text, dry_run=False) == 0
    read = load(settings, "production")
    assert (read.estate["platform"], read.estate["router"]) == (estate.platform, estate.router)
    found = aws_estate(read)
    assert (found.platform.name, found.router.name) == (estate.platform, estate.router)
    known = {key for key in configure.KEYS if key in estate.outputs and estate.outputs[key]["value"] is not None}
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))["$defs"]["aws_environment"]["properties"]
    assert {key: read.estate[key] for key in known & set(schema)} == {
        key: estate.outputs[key]["value"] for key in known & set(schema)
    }
    before = settings.read_bytes()
    assert configure.configure(settings, "production", text, dry_run=False) == 0
    assert settings.read_bytes() == before


def test_a_task_can_write_temporary_files(estate: Estate) -> None:
    """Its root is read-only, so /tmp is a volume; the deployer's next revision keeps it."""
    for values in estate.of("aws_ecs_task_definition").values():
        (container,) = json.loads(values["container_definitions"])
        assert container["readonlyRootFilesystem"] is True
        assert {"sourceVolume": "tmp", "containerPath": "/tmp", "readOnly": False} in container["mountPoints"]  # noqa: S108
        assert "tmp" in {volume["name"] for volume in values["volume"]}
        described = {"family": "f", "volumes": [{"name": "tmp"}], "containerDefinitions": [container]}
        made = register_request(described, (), "app", "new@sha256:1")
        assert made["volumes"] == [{"name": "tmp"}]
        assert made["containerDefinitions"][0]["mountPoints"] == container["mountPoints"]


def test_the_switch_can_be_rehearsed(estate: Estate) -> None:
    """On ECS each colour's load balancer rewrites the host in the settings to the live domain."""
    hosts = estate.outputs.get("rehearsal_hosts", {}).get("value")
    if estate.platform != "ecs":
        assert hosts is None
        return
    rules = {a: rule for a, rule in estate.of("aws_lb_listener_rule").items() if rule["transform"]}
    found = {}
    for address, rule in rules.items():
        (condition,), (transform,), (action,) = rule["condition"], rule["transform"], rule["action"]
        (config,) = transform["host_header_rewrite_config"]
        assert transform["type"] == "host-header-rewrite"
        assert config["rewrite"] == [{"regex": "^.+$", "replace": "api.telehealth.com"}]
        (colour,) = (one for one in COLOURS if f'["{one}"]' in address)
        assert action["target_group_arn"] == estate.outputs["target_groups"]["value"][colour]
        found[colour] = condition["host_header"][0]["values"][0]
    assert found == hosts
    assert not set(hosts.values()) & {url.split("/")[2] for url in estate.outputs["colour_urls"]["value"].values()}


def changes(estate: Estate, done: Callable[[Any], Any], *options: str) -> Mapping[str, Mapping[str, Any]]:
    """Return a plan's changes, by address, after ``done`` has changed the state; then restore the state."""
    before = estate.workspace.state.read_text(encoding="utf-8")
    estate.workspace.state.write_text(json.dumps(done(json.loads(before))), encoding="utf-8")
    try:
        planned, shown = estate.workspace.run(
            ("plan", "-input=false", "-no-color", "-detailed-exitcode", "-out=plan", *estate.variables, *options),
            ("show", "-json", "plan"),
        )
    finally:
        estate.workspace.state.write_text(before, encoding="utf-8")
    assert planned.code in (0, 2), planned.err
    listed = shown.document().get("resource_changes", ())
    return {one["address"]: one["change"] for one in listed if one["change"]["actions"] not in (["no-op"], ["read"])}


def deployed(state: Any) -> Any:
    """Return the state after the deployer has put a release on green and moved all traffic there."""
    text = "111122223333.dkr.ecr.us-east-1.amazonaws.com/telehealth-api@sha256:" + "a" * 64
    for kind, values in instances(state):
        if kind == "aws_apprunner_service":
            values["source_configuration"][0]["image_repository"][0]["image_identifier"] = text
        elif kind == "aws_ecs_service":
            values |= {"task_definition": values["task_definition"] + "7", "desired_count": 9}
        elif kind == "aws_appautoscaling_target":
            values["min_capacity"] = 0
        elif kind == "aws_cloudfrontkeyvaluestore_key":
            new = {"active": "green", "weights": '{"blue": 0, "green": 100}', "generation": "7"}
            values["value"] = new.get(values["key"], values["value"])
        elif kind == "aws_lb_listener_rule" and values["tags"] is None:
            groups = values["action"][0]["forward"][0]["target_group"]
            values["action"][0]["forward"][0]["target_group"] = [
                group | {"weight": 100 - group["weight"]} for group in groups
            ]
            values["tags"] = values["tags_all"] = {
                "deployment-routes:7": "live=green blue=0 green=100 generation=7 fence=7"
            }
        elif kind == "aws_route53_record" and values["weighted_routing_policy"]:
            values["weighted_routing_policy"] = [{"weight": 100 - values["weighted_routing_policy"][0]["weight"]}]
    return state


def drifted(state: Any) -> Any:
    """Return the state after a person has changed the estate by hand."""
    for kind, values in instances(state):
        if kind == "aws_db_instance":
            values["deletion_protection"] = False
    return state


def instances(state: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield type and values of each resource of a state."""
    for resource in state["resources"]:
        if resource["mode"] == "managed":
            for instance in resource["instances"]:
                yield resource["type"], instance["attributes"]


def of_colour(estate: Estate, colour: str) -> Iterator[tuple[str, str]]:
    """Yield address and values of a colour's resources, without the colour's name and without AWS's generated parts."""
    for address, values in estate.resources.items():
        if f'["{colour}"]' in address and any(part in address for part in ALIKE):
            yield tuple(  # type: ignore[misc]  # two texts
                GENERATED.sub("…", text).replace(colour, "COLOUR")
                for text in (address, json.dumps(values, sort_keys=True))
            )


def variables(estate: Estate) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Return blue's plain variables, and its secrets by name."""
    if estate.platform == "apprunner":
        service = estate.resources['module.app_runner["blue"].aws_apprunner_service.main']
        image = service["source_configuration"][0]["image_repository"][0]["image_configuration"][0]
        return image["runtime_environment_variables"], image["runtime_environment_secrets"]
    task = estate.resources['module.ecs_service["blue"].aws_ecs_task_definition.main[0]']
    container = json.loads(task["container_definitions"])[0]
    return (
        {one["name"]: one["value"] for one in container["environment"]},
        {one["name"]: one["valueFrom"] for one in container["secrets"]},
    )


def test_roles_allow_the_calls_of_their_duties(estate: Estate) -> None:
    """Every call that infrastructure/aws lists for this platform and router is allowed, and the calls besides them."""
    rights = of_roles(estate)
    for role in PERFORMS:
        missing = [one for one in (*needed(estate, role), *beside(estate, role)) if not allows(rights[role], *one)]
        assert missing == [], role


def test_roles_allow_nothing_else(estate: Estate) -> None:
    """Only the duties' calls and the listed calls besides them are allowed, and no action has a wildcard."""
    rights = of_roles(estate)
    for role in PERFORMS:
        calls = {action for action, _ in needed(estate, role)} | BESIDE | (PUSH if role == "build-release" else set())
        assert {right.action for right in rights[role]} - calls == set(), role
    everything = {right.action for role in rights.values() for right in role}
    assert not [action for action in everything if "*" in action]
    assert not [
        a for a in everything if a.startswith(("iam:Put", "iam:Create", "iam:Attach")) or "Delete" in a or "Bypass" in a
    ]


def test_roles_allow_exactly_the_calls_of_their_commands(estate: Estate) -> None:
    """The recorded calls of real runs: no role lacks one, and nothing in a role is unused."""
    for role, found in of_roles(estate).items():
        calls = table.actions(estate.platform, estate.router, role)
        assert {right.action for right in found} == calls, role
    assert set(of_roles(estate)) == set(table.recorded()[estate.platform])


def test_each_role_has_one_purpose(estate: Estate) -> None:
    """Green's deployer cannot change blue's release; the rollback role brings up no release; the audit role writes nothing."""
    rights = of_roles(estate)
    writes = {"apprunner:UpdateService", "apprunner:PauseService", "ecs:UpdateService", "ecs:RegisterTaskDefinition"}
    for right in rights["deploy-green"]:
        assert right.action not in writes or "green" in right.resource, right
    if estate.platform == "apprunner":
        acl = estate.outputs["web_acl_arn"]["value"]
        service = f"arn:aws:apprunner:{REGION}:{ACCOUNT}:service/production-telehealth-api-{{}}/0123"
        for action in ("wafv2:AssociateWebACL", "apprunner:AssociateWebAcl"):
            may = [
                one
                for one in (acl, *map(service.format, ("blue", "green")))
                if allows(rights["deploy-green"], action, one)
            ]
            assert may == [acl, service.format("green")]
    assert not {right.action for right in rights["rollback"]} & {
        "apprunner:UpdateService",
        "ecs:RegisterTaskDefinition",
    }
    assert not [right.action for right in rights["rollback"] if right.action.startswith(("ecr:", "iam:"))]
    assert not [right.action for right in rights["audit"] if right.action.startswith("s3:Put")]
    read = {right.resource for right in rights["audit"] if right.action == "secretsmanager:GetSecretValue"}
    assert read == {estate.outputs["signing_public_key_secret"]["value"]}, "who reads the key itself can sign anything"
    passed = [right for role in rights.values() for right in role if right.action == "iam:PassRole"]
    assert all(
        right.condition and "iam:PassedToService" in right.condition and "*" not in right.resource for right in passed
    )


def test_github_is_trusted_for_one_repository_and_environment(estate: Estate) -> None:
    (statement,) = trust(estate)
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert statement["Condition"] == {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": [
                "repo:example/telehealth:environment:production",
                "repo:example@123456/telehealth@456789:environment:production",
            ],
        }
    }


def test_other_environments_keep_what_cannot_be_made_again(estate: Estate) -> None:
    """The database with a snapshot, the lock, the evidence, the images, the secrets, the user pool."""
    found = {
        (re.sub(r"\[.*?\]", "", address).rpartition("module.")[2], argument)
        for address, argument in kept(estate.planned)
    }
    assert found >= {
        ("database.aws_db_instance.main", "deletion_protection"),
        ("database.aws_db_instance.main", "skip_final_snapshot"),
        ("deploy_state.aws_dynamodb_table.lease", "deletion_protection_enabled"),
        ("deploy_state.aws_s3_bucket.audit", "force_destroy"),
        ("deploy_state.aws_s3_bucket_object_lock_configuration.audit", "default_retention"),
        ("registry.aws_ecr_repository.main", "force_delete"),
        ("secrets.aws_secretsmanager_secret.by_hand", "recovery_window_in_days"),
        ("cognito.aws_cognito_user_pool.main", "deletion_protection"),
    }


def test_last_snapshot_has_a_name_of_its_own(estate: Estate) -> None:
    """A fixed name is taken after the first ``terraform destroy``, and the second one fails at its last step."""
    database = estate.resources["module.database.aws_db_instance.main"]
    assert database["final_snapshot_identifier"].startswith("production-telehealth-final-")
    assert database["final_snapshot_identifier"] != "production-telehealth-final-"


def test_documented_costs_are_planned_ones(estate: Estate) -> None:
    """Only the default pair is documented. A new quantity: python -m benchmarks.estate_cost."""
    found = (
        [(one.name, one.quantity, f"{one.usd:.2f}") for one in estate_cost.parts(estate.planned)]
        if estate.router == "alb"
        else []
    )
    assert found == (documented_costs((0, 1, 2)) if found else [])


def test_task_that_makes_the_databases_user(estate: Estate) -> None:
    """It runs the tested script, gets passwords from secrets only, and its role reads no other secret."""
    task = estate.resources["module.database_user.aws_ecs_task_definition.main"]
    (container,) = json.loads(task["container_definitions"])
    script = core.TREE / "modules" / "database-user" / "create-user.sh"
    assert container["command"] == ["sh", "-c", script.read_text()]
    master = estate.outputs["master_user_secret_arn"]["value"]
    given = {one["name"]: one["valueFrom"] for one in container["secrets"]}
    service = estate.outputs["secrets_by_hand"]["value"]["database-url"]
    assert given == {"PGUSER": f"{master}:username::", "PGPASSWORD": f"{master}:password::", "DATABASE_URL": service}
    assert {one["name"] for one in container["environment"]} == {"PGHOST", "PGPORT", "PGDATABASE", "PGSSLROOTCERT_URL"}
    policy = json.loads(estate.resources["module.database_user.aws_iam_role_policy.execution"]["policy"])
    (read,) = (one for one in policy["Statement"] if one["Action"] == "secretsmanager:GetSecretValue")
    assert set(read["Resource"]) == {master, service}
