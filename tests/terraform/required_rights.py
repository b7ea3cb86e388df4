"""The permissions that the deployer's duties need on an estate, and those that its roles have besides, with reasons."""

from __future__ import annotations

from collections.abc import Iterator

from infrastructure.aws.identity import duties
from tests.terraform.conftest import Estate
from tests.terraform.stub.values import ACCOUNT, REGION

# Role -> its duties in infrastructure/aws/identity/duties.py.
PERFORMS = {
    "release": ("deploy", "promote"),
    "build-release": ("deploy", "promote"),
    # A whole run and its rollback, which stops the colour that the run deployed to.
    "deploy-blue": ("deploy", "promote", "rollback"),
    "deploy-green": ("deploy", "promote", "rollback"),
    "rollback": ("rollback",),
    "approve": ("approve",),
}
# Calls before the IAM simulation, or besides the duties: identity, smoke users, key, evidence, logs, scans, preflight.
BESIDE = {
    "iam:GetRole",
    "iam:SimulatePrincipalPolicy",
    "secretsmanager:GetSecretValue",
    "secretsmanager:DescribeSecret",
    "kms:Decrypt",
    "kms:GenerateDataKey",
    "s3:PutObject",
    "s3:GetObject",
    "s3:ListBucket",
    "sns:Publish",
    "logs:FilterLogEvents",
    "ecr:DescribeImageScanFindings",
    "servicequotas:ListServiceQuotas",
    "cloudwatch:GetMetricData",
    "apprunner:ListTagsForResource",
    "apprunner:CreateService",
    "apprunner:TagResource",
    "elasticloadbalancing:DescribeRules",
    "elasticloadbalancing:DescribeTargetHealth",
    "route53:GetChange",
}
PUSH = {
    "ecr:GetAuthorizationToken",
    "ecr:BatchCheckLayerAvailability",
    "ecr:CompleteLayerUpload",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
}


def needed(estate: Estate, role: str) -> Iterator[tuple[str, str]]:
    """Yield (action, resource) of every call of a role's duties on this estate; a colour's role acts only on its colour."""
    outputs = {name: one.get("value") for name, one in estate.outputs.items()}
    colours = [role.removeprefix("deploy-")] if role.startswith("deploy-") else ["blue", "green"]
    names = [outputs["services"][colour] for colour in colours]
    for kind, actions in duties.needs(PERFORMS[role], estate.platform, estate.router).items():
        seen = list(outputs["services"].values()) if kind == duties.READ_SERVICES else names
        for resource in _resources(estate, kind, seen):
            yield from ((action, resource) for action in actions)
    if estate.router == "alb" and role != "approve":
        yield "elasticloadbalancing:DescribeRules", "*"
        yield "elasticloadbalancing:ModifyRule", outputs["listener_rule_arn"]


def beside(estate: Estate, role: str) -> Iterator[tuple[str, str]]:
    """Yield (action, resource) of the calls that every command of a role makes besides its duties.

    These are for the smoke users, the encryption key, the evidence and the messages to the team.
    """
    out = {name: one.get("value") for name, one in estate.outputs.items()}
    key = estate.resources["aws_kms_key.main"]["arn"]
    yield "kms:Decrypt", key
    if role == "approve":  # its evidence is a note beside the lease
        return
    yield "secretsmanager:GetSecretValue", out["smoke_users_secret"]
    yield "kms:GenerateDataKey", key
    yield "secretsmanager:GetSecretValue", out["signing_key_secret"]
    yield "s3:ListBucket", f"arn:aws:s3:::{out['audit_bucket']}"
    yield from ((f"s3:{verb}Object", f"arn:aws:s3:::{out['audit_bucket']}/production/x") for verb in ("Put", "Get"))
    yield "sns:Publish", out["notifications_topic"]


def _resources(estate: Estate, kind: str, names: list[str]) -> list[str]:
    out = {name: one.get("value") for name, one in estate.outputs.items()}
    where = f"{REGION}:{ACCOUNT}"
    cluster, acl = out.get("cluster"), out.get("web_acl_arn")
    service = {"apprunner": "arn:aws:apprunner:{w}:service/{n}/0123", "ecs": "arn:aws:ecs:{w}:service/{c}/{n}"}
    routes = out.get("key_value_store_arn") or out.get("listener_rule_arn")
    passed = [
        values["arn"]
        for address, values in estate.of("aws_iam_role").items()
        if any(part in address for part in ("role.access", "role.instance", "role.execution", "role.task"))
        and not address.startswith("module.database_user.")  # a person starts that task, no deployment
    ]
    return {
        duties.ANYTHING: ["*"],
        duties.LEASE: [f"arn:aws:dynamodb:{where}:table/{out['lease_table']}"],
        duties.ROUTES: [routes or f"arn:aws:route53:::hostedzone/{out['hosted_zone_id']}"],
        duties.CHANGES: ["arn:aws:route53:::change/C1"],
        duties.IMAGES: [f"arn:aws:ecr:{where}:repository/telehealth-api"],
        duties.TOPIC: [out["notifications_topic"]],
        duties.ALARMS: ["*"],
        duties.HEALTH_CHECKS: [f"arn:aws:route53:::healthcheck/{one}" for one in out["route53_health_checks"]],
        duties.SCALING: [f"arn:aws:application-autoscaling:{where}:scalable-target/0123"],
        duties.WEB_ACL: [acl] if acl else [],
        duties.PROTECTED: [service[estate.platform].format(w=where, c=cluster, n=name) for name in names]
        if acl
        else [],
        duties.TASKS: ["*"],
        duties.INSTANCES: ["*"],
        duties.READ_SERVICES: [service[estate.platform].format(w=where, c=cluster, n=name) for name in names],
        duties.SERVICES: [service[estate.platform].format(w=where, c=cluster, n=name) for name in names],
        duties.ROLES: passed,
        duties.DEPLOYMENTS: [f"arn:aws:ecs:{where}:service-deployment/{cluster}/{name}/0123" for name in names],
        duties.DEFINITIONS: [f"arn:aws:ecs:{where}:task-definition/{name}:7" for name in names],
    }[kind]
