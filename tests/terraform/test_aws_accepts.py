"""The comparison with AWS's own models finds values that AWS refuses; test_estate.py compares the applied values."""

from __future__ import annotations

import re
from typing import Any

import pytest
from botocore.session import Session

from tests.terraform.aws_models import EC2_DESCRIPTION, refused


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
