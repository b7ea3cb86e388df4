"""The table of docs/aws.md: which calls each role's commands make.

``python -m tests.permissions.table`` prints it from ``benchmarks/results/role_calls.json``, which ``tests/permissions/test_roles.py``
compares with real runs (`make soak`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path

from tests.permissions.commands import Recorded

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "benchmarks" / "results" / "role_calls.json"
DOCUMENT = ROOT / "docs" / "aws.md"
HEAD = "| role | command | calls | works without |"
PUSH = (
    "ecr:BatchCheckLayerAvailability",
    "ecr:CompleteLayerUpload",
    "ecr:GetAuthorizationToken",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
)
"""The calls of a push; all but GetAuthorizationToken are docker's own.

https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html
"""
USERS = ("kms:Decrypt", "secretsmanager:GetSecretValue")
"""The calls of ``Reads.USERS`` alone, with which a load worker connects."""
DEPLOYING = ("release", "deploy-blue", "deploy-green")
ONLY_SOMETIMES = {
    # While a service is busy, its operations say with what.
    "apprunner:DescribeService": ("apprunner:ListOperations",),
    # A release that is rejected after it came up is stopped.
    # Terraform's services are behind a web ACL, which a service that is created again must get; the embedded ones have none.
    "apprunner:UpdateService": (
        "apprunner:AssociateWebAcl",
        "apprunner:ListAssociatedServicesForWebAcl",
        "apprunner:PauseService",
        "cloudwatch:GetMetricData",
        "wafv2:AssociateWebACL",
        "wafv2:ListResourcesForWebACL",
    ),
    # Terraform's services have tags and autoscaling, the embedded ones do not.
    "apprunner:CreateService": ("apprunner:TagResource",),
    "ecs:RegisterTaskDefinition": ("ecs:TagResource",),
    "application-autoscaling:DescribeScalableTargets": ("application-autoscaling:RegisterScalableTarget",),
    # A deployment that the service no longer lists.
    "ecs:ListServiceDeployments": ("ecs:DescribeServiceDeployments",),
    # If the object exists already, it is compared; without the right to list, a missing one would be a 403.
    "s3:PutObject": ("s3:GetObject", "s3:ListBucket"),
    # The used part of a quota, which moto does not list.
    "servicequotas:ListServiceQuotas": ("cloudwatch:GetMetricData",),
}
"""Calls that another call of the same command leads to, but not in these runs."""
BALANCER = {
    f"elasticloadbalancing:{name}" for name in ("AddTags", "DescribeRules", "DescribeTags", "ModifyRule", "RemoveTags")
}
"""The routing calls of the load balancer, which Route 53 replaces."""
READ_RECORDS = ("route53:GetChange", "route53:ListResourceRecordSets")
WRITE_RECORDS = ("route53:ChangeResourceRecordSets",)


def recorded() -> Mapping[str, Recorded]:
    """Return the calls by platform, for each role and command, with those that real runs here cannot show.

    Those are a build, the load worker, Route 53, which `tests/aws` runs under the same policies, and ``ONLY_SOMETIMES``.
    """
    found: dict[str, dict[str, dict[str, dict[str, list[str]]]]] = json.loads(FILE.read_text(encoding="utf-8"))
    for roles in found.values():
        deployments = [roles[role]["deploy"] for role in DEPLOYING]
        # A deployment to either colour makes the same calls; which of them depends on the colour's state.
        every = {key: sorted({call for one in deployments for call in one[key]}) for key in ("calls", "works_without")}
        for role in DEPLOYING:
            roles[role]["deploy"] = every
        roles.update(complete(roles))
        every = roles[DEPLOYING[0]]["deploy"]
        roles["build-release"] = {"deploy --context": {**every, "calls": sorted({*every["calls"], *PUSH})}}
        roles["smoke"] = {"load-worker": {"calls": list(USERS), "works_without": []}}
        roles["build"] = {"docker buildx build --push": {"calls": list(PUSH), "works_without": []}}
    found["ecs-route53"] = {
        role: {
            command: {**entry, "calls": sorted({*entry["calls"]} - BALANCER | set(_records(entry["calls"])))}
            for command, entry in commands.items()
        }
        for role, commands in found["ecs"].items()
    }
    return found


def complete(roles: Recorded) -> dict[str, dict[str, dict[str, list[str]]]]:
    """Return the calls of each role's commands with those of ``ONLY_SOMETIMES``, which a run makes or not."""
    found: dict[str, dict[str, dict[str, list[str]]]] = {}
    for role, commands in roles.items():
        for command, entry in commands.items():
            more = (calls for known, calls in ONLY_SOMETIMES.items() if known in entry["calls"])
            calls = sorted({*entry["calls"], *chain.from_iterable(more)})
            found.setdefault(role, {})[command] = {"calls": calls, "works_without": list(entry["works_without"])}
    return found


def actions(platform: str, router: str, role: str) -> set[str]:
    """Return every action that a role's commands need on a pair of platform and router."""
    roles = recorded()["ecs-route53" if router == "route53" else platform]
    return {action for entry in roles[role].values() for action in entry["calls"]}


def lines() -> list[str]:
    """Return the table's lines, of all platforms and routers together."""
    rows: dict[tuple[str, str], tuple[set[str], set[str]]] = {}
    for roles in recorded().values():
        for role, commands in roles.items():
            for command, entry in commands.items():
                calls, without = rows.setdefault((role, command), (set(), set()))
                calls.update(entry["calls"])
                without.update(entry["works_without"])
    return [
        HEAD,
        "| --- | --- | --- | --- |",
        *(
            f"| `{role}` | `{command}` | {_cell(calls)} | {_cell(without)} |"
            for (role, command), (calls, without) in sorted(rows.items())
        ),
    ]


def _records(calls: Iterable[str]) -> Iterator[str]:
    """Yield Route 53's calls instead of the load balancer's."""
    if "elasticloadbalancing:DescribeRules" in calls:
        yield from READ_RECORDS
    if "elasticloadbalancing:ModifyRule" in calls:
        yield from WRITE_RECORDS


def _cell(found: set[str]) -> str:
    services: dict[str, list[str]] = {}
    for action in sorted(found):
        service, _, name = action.partition(":")
        services.setdefault(service, []).append(name)
    return "; ".join(f"`{service}:{', '.join(names)}`" for service, names in services.items()) or "-"


if __name__ == "__main__":
    print("\n".join(lines()))
