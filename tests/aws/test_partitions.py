"""Partitions other than the standard one: their ARNs and hosts, compared with botocore's own data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest
from botocore.loaders import create_loader

from deployment.model import Caller
from deployment.settings import SCHEMA_FILE
from infrastructure.aws.identity.permissions import Resources, SimulatedPermissions
from infrastructure.aws.partitions import partition_of, registry_host
from infrastructure.aws.registry.images import EcrRegistry
from infrastructure.aws.registry.push import EcrPushTarget
from infrastructure.aws.session import Clients
from tests.aws.test_aws_permissions import Answering

ACCOUNT = "123456789012"
KNOWN = ("aws", "aws-cn", "aws-us-gov")


@pytest.mark.parametrize("partition", KNOWN)
def test_partitions_are_botocores(partition: str) -> None:
    data = create_loader().load_data("partitions")["partitions"]
    found = next(one for one in data if one["id"] == partition)
    regions = [region for region in found["regions"] if not region.endswith("-global")]
    assert regions
    for region in regions:
        assert partition_of(region) == partition, region
        assert registry_host(ACCOUNT, region) == f"{ACCOUNT}.dkr.ecr.{region}.{found['outputs']['dnsSuffix']}"


def test_hosts_of_the_registry_and_of_pushes() -> None:
    clients = cast(Clients, None)
    assert EcrPushTarget(clients, "api", ACCOUNT, "cn-north-1").host == f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com.cn"
    registry = EcrRegistry(clients, "api", ACCOUNT, "cn-north-1")
    assert registry._image("1.0.0", "sha256:1", "1.0.0", {}).uri.startswith(
        f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com.cn/api@"
    )


def test_simulated_arns_have_the_regions_partition() -> None:
    clients = Answering()
    resources = Resources(
        "us-gov-west-1", ACCOUNT, "api", "locks", "ecs", {}, "route53", {"hosted_zone_id": "Z1", "record_name": "a"}
    )
    SimulatedPermissions(clients, resources).missing(
        Caller(f"arn:aws-us-gov:iam::{ACCOUNT}:user/jane", ACCOUNT), ["promote"]
    )
    arns = {arn for found, _ in clients.asked.values() for arn in found if arn != "*"}
    assert arns
    assert {arn.split(":")[1] for arn in arns if arn.startswith("arn:aws")} == {"aws-us-gov"}


def test_settings_accept_every_partition() -> None:
    text = Path(SCHEMA_FILE).read_text(encoding="utf-8")
    assert '"^arn:aws:' not in text
    json.loads(text)
