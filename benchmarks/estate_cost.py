"""What the estate costs a month, part by part: quantities from Terraform's plan, prices from the list below.

``python -m benchmarks.estate_cost`` prints the table of docs/aws.md, of the default pair (ECS and a load balancer) with the
variables' defaults, and of a trial (infrastructure/terraform/trial.tfvars). It needs the wheels of requirements-terraform.txt.
tests/terraform/test_trial.py compares the document with the plans.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.terraform.stub import core

HOURS = 730
"""Hours of a month, as AWS's calculator counts them."""
REGION, AS_OF = "us-east-1", "June 2025"
HEAD = (
    "| part | quantity | USD a month | trial | USD a month | make it smaller |",
    "| --- | --- | --- | --- | --- | --- |",
)

# USD, list prices of REGION as of AS_OF, without taxes and free tier; known, and not fetched from AWS.
NAT_HOUR, ADDRESS_HOUR, ENDPOINT_HOUR, BALANCER_HOUR = 0.045, 0.005, 0.01, 0.0225
VCPU_HOUR, GB_HOUR = 0.04048, 0.004445
DATABASE_HOUR = {("db.t3.medium", True): 0.145, ("db.t3.micro", False): 0.018}
"""By class, and whether there is a standby."""
STORAGE_GB = {True: 0.23, False: 0.115}
NODE_HOUR = {"cache.t3.micro": 0.017}
ACL, ACL_RULE, KEY, SECRET, ALARM, DASHBOARD = 5.0, 1.0, 1.0, 0.4, 0.1, 3.0
HEALTH_CHECK, HEALTH_CHECK_OPTION = 0.5, 1.0

Resources = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Part:
    """One row: what there is of a part, what it costs a month, and what makes it smaller."""

    name: str
    quantity: str
    usd: float
    smaller: str


def parts(resources: Resources) -> Sequence[Part]:
    """Return the parts with a fixed price, from the planned values of every resource by its address."""
    return list(_parts(resources))


def _parts(resources: Resources) -> Iterator[Part]:
    gateways, balancers = len(_of(resources, "aws_nat_gateway")), len(_of(resources, "aws_lb"))
    public = sum(".public[" in address for address in _of(resources, "aws_subnet"))
    private = sum(".private[" in address for address in _of(resources, "aws_subnet"))
    yield Part(
        "NAT gateways",
        str(gateways),
        gateways * NAT_HOUR * HOURS,
        "-",
    )
    addresses = len(_of(resources, "aws_eip")) + balancers * public
    yield Part(
        "public IPv4 addresses",
        str(addresses),
        addresses * ADDRESS_HOUR * HOURS,
        "-",
    )
    endpoints = [one for one in _of(resources, "aws_vpc_endpoint").values() if one["vpc_endpoint_type"] == "Interface"]
    count = len(endpoints) * private
    yield Part(
        "interface endpoints",
        f"{len(endpoints)} in {private} zones",
        count * ENDPOINT_HOUR * HOURS,
        "-",
    )
    yield Part(
        "load balancers",
        str(balancers),
        balancers * BALANCER_HOUR * HOURS,
        'two with `router = "route53"`',
    )
    yield _tasks(resources)
    yield from _stores(resources)
    acls = _of(resources, "aws_wafv2_web_acl").values()
    rules = sum(len(one["rule"]) for one in acls)
    yield Part("web ACLs", f"{len(acls)} with {rules} rules", len(acls) * ACL + rules * ACL_RULE, "-")
    keys = len(_of(resources, "aws_kms_key"))
    yield Part("keys (KMS)", str(keys), keys * KEY, "-")
    master = sum(bool(one["manage_master_user_password"]) for one in _of(resources, "aws_db_instance").values())
    secrets = len(_of(resources, "aws_secretsmanager_secret")) + master
    yield Part("secrets", str(secrets), secrets * SECRET, "fewer `checked_secrets`")
    alarms = len(_of(resources, "aws_cloudwatch_metric_alarm"))
    boards = len(_of(resources, "aws_cloudwatch_dashboard"))
    yield Part("alarms, dashboard", f"{alarms}, {boards}", alarms * ALARM + boards * DASHBOARD, "-")
    checks = _of(resources, "aws_route53_health_check").values()
    options = sum(_options(one) for one in checks)
    yield Part(
        "health checks",
        f"{len(checks)} with {options} options",
        len(checks) * HEALTH_CHECK + options * HEALTH_CHECK_OPTION,
        "-",
    )


def _tasks(resources: Resources) -> Part:
    """Return the row of both colours' tasks: the previous colour runs on until `retire`."""
    services = _of(resources, "aws_ecs_service").values()
    count = sum(int(one["desired_count"]) for one in services)
    definitions = [
        one for address, one in _of(resources, "aws_ecs_task_definition").items() if "ecs_service" in address
    ]
    (size,) = {(int(one["cpu"]) / 1024, int(one["memory"]) / 1024) for one in definitions}
    hour = size[0] * VCPU_HOUR + size[1] * GB_HOUR
    text = f"{count} of {size[0]:g} vCPU, {size[1]:g} GB"
    return Part(
        "tasks of both colours",
        text,
        count * hour * HOURS,
        "`retire_after`, or `retire` after a deployment: half; `cpu`, `memory`, `min_size`",
    )


def _stores(resources: Resources) -> Iterator[Part]:
    for one in _of(resources, "aws_db_instance").values():
        standby = bool(one["multi_az"])
        kind, size = str(one["instance_class"]), int(one["allocated_storage"])
        usd = DATABASE_HOUR[kind, standby] * HOURS + size * STORAGE_GB[standby]
        text = f"{kind}{' with a standby' if standby else ''}, {size} GB"
        yield Part("PostgreSQL", text, usd, "`db_instance_class`, `db_allocated_storage`")
    for one in _of(resources, "aws_elasticache_replication_group").values():
        kind, nodes = str(one["node_type"]), int(one["num_cache_clusters"])
        yield Part("Redis", f"{nodes} {kind}", nodes * NODE_HOUR[kind] * HOURS, "`redis_node_type`")


def _options(check: Mapping[str, Any]) -> int:
    """Return for how many options of a health check Route 53 charges."""
    chosen = (
        str(check["type"]).startswith("HTTPS"),
        "STR_MATCH" in str(check["type"]),
        check["request_interval"] == 10,
    )
    return sum((*chosen, bool(check.get("measure_latency"))))


def _of(resources: Resources, kind: str) -> Resources:
    return {address: one for address, one in resources.items() if re.search(rf"(^|\.){kind}\.", address)}


def lines(usual: Resources, trial: Resources) -> list[str]:
    """Return the table's lines."""
    rows = list(zip(parts(usual), parts(trial), strict=True))
    totals = [sum(pair[number].usd for pair in rows) for number in (0, 1)]
    return [
        *HEAD,
        *(
            f"| {one.name} | {one.quantity} | {one.usd:.2f} | {small.quantity} | {small.usd:.2f} | {one.smaller} |"
            for one, small in rows
        ),
        f"| **together** | | **{totals[0]:.0f}** | | **{totals[1]:.0f}** | |",
    ]


def planned(document: Mapping[str, Any]) -> Resources:
    """Return the planned values of every resource, by its address, of ``terraform show -json PLAN``."""
    return dict(_resources(document["planned_values"]["root_module"]))


def _resources(module: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for resource in module.get("resources", ()):
        if resource["mode"] == "managed":
            yield resource["address"], resource.get("values", {})
    for child in module.get("child_modules", ()):
        yield from _resources(child)


def main() -> None:
    """Plan the estate twice, and print the table."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "providers").mkdir()
        with core.providers(Path(folder) / "providers") as environment:
            workspace = core.workspace(Path(folder) / "tree", environment)
            (workspace.folder / "trial.tfvars").write_text((core.TREE / "trial.tfvars").read_text())
            options = ("-input=false", "-no-color", "-compact-warnings")
            answers = workspace.run(
                ("init", "-input=false", "-no-color"),
                ("plan", *options, "-out=usual"),
                ("show", "-json", "usual"),
                ("plan", *options, "-out=trial", "-var-file=trial.tfvars"),
                ("show", "-json", "trial"),
            )
    if answers[-1].code:
        raise SystemExit(answers[-1].err)
    print("\n".join(lines(*(planned(answers[number].document()) for number in (2, 4)))))


if __name__ == "__main__":
    main()
