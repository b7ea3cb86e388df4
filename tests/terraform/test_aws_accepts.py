"""The applied values of all three pairs, compared with AWS's own models: what `terraform apply` would be refused for."""

from __future__ import annotations

import re
from typing import Any

import pytest
from botocore.session import Session

from tests.terraform.aws_models import EC2_DESCRIPTION, REQUESTS, refused
from tests.terraform.conftest import Estate

# Types without a request of their own, or whose request constrains no value in botocore.
UNCONSTRAINED = {
    "aws_acm_certificate_validation",
    "aws_default_security_group",
    "aws_internet_gateway",
    "aws_route",
    "aws_route_table",
    "aws_route_table_association",
    "aws_s3_bucket_logging",
    "aws_s3_bucket_policy",
    "aws_s3_bucket_public_access_block",
    "aws_secretsmanager_secret_version",
    "aws_sns_topic_policy",
    "aws_vpc_security_group_egress_rule",
    "aws_vpc_security_group_ingress_rule",
}


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


@pytest.mark.parametrize(
    ("kind", "values", "problem"),
    [
        ("aws_security_group", {"name": "a", "description": "The service's tasks"}, "does not match"),
        ("aws_vpc_security_group_egress_rule", {"description": "x" * 256}, "does not match"),
        (
            "aws_wafv2_web_acl",
            {"name": "a", "description": "A colour's own address", "scope": "REGIONAL"},
            "does not match",
        ),
        ("aws_wafv2_web_acl", {"name": "a", "scope": "GLOBAL"}, "not one of"),
        ("aws_lb", {"name": "production-telehealth-front-door-b"}, "does not match"),
        ("aws_iam_role", {"name": "n" * 65}, "65 characters"),
        ("aws_iam_role", {"name": "n", "description": "Rôle — 部署"}, "does not match"),
        ("aws_iam_role", {"name": "n", "max_session_duration": 60}, "the min is 3600"),
        ("aws_lb_target_group", {"name": "a", "health_check": [{"interval": 1}]}, "the min is 5"),
        ("aws_ecr_repository", {"name": "Telehealth"}, "does not match"),
        ("aws_apprunner_service", {"service_name": "n" * 41}, "41 characters"),
        (
            "aws_route53_record",
            {"name": "a", "weighted_routing_policy": [], "set_identifier": "s" * 129},
            "129 characters",
        ),
        ("aws_dynamodb_table", {"name": "t", "billing_mode": "ON_DEMAND"}, "not one of"),
    ],
)
def test_bad_values_are_found(kind: str, values: dict[str, Any], problem: str) -> None:
    found, _ = refused(kind, values)
    assert any(problem in one for one in found), found


def test_ec2s_rule_is_the_documented_one() -> None:
    """botocore has EC2's characters only in its texts."""
    model = Session().get_service_model("ec2")
    text = str(model.shape_for("IpRange").members["Description"].documentation)
    assert "._-:/()#,@[]+=&amp;;{}!$*" in text
    assert re.fullmatch(EC2_DESCRIPTION, "a-Z 09._-:/()#,@[]+=&;{}!$*")


def kind_of(address: str) -> str:
    """Return the type of a resource, from its address."""
    return next(part for part in reversed(re.sub(r"\[[^\]]*\]", "", address).split(".")[:-1]))
