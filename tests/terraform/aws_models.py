"""Values of an estate's resources that AWS would refuse, by botocore's models: patterns, enums, lengths, ranges and counts.

Terraform's attributes are matched with the members of AWS's request by name; ``REQUESTS`` names the request of each resource type
and the attributes whose names differ. What botocore does not model is in ``DOCUMENTED``, with its source.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import botocore.session
import regex
from botocore import xform_name
from botocore.model import Shape

# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html and API_IpRange.html; botocore's texts have
# them, too, which a test compares.
EC2_DESCRIPTION = r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{0,255}"


@dataclass(frozen=True)
class Request:
    """The request that creates a resource. ``names``: members by the attribute's name; ``within``: the member that holds them."""

    service: str
    operation: str
    names: Mapping[str, str] = field(default_factory=dict, hash=False)
    within: str | None = None


REQUESTS: Mapping[str, Request] = {
    "aws_acm_certificate": Request("acm", "RequestCertificate"),
    "aws_appautoscaling_policy": Request(
        "application-autoscaling",
        "PutScalingPolicy",
        {
            "name": "PolicyName",
            "target_tracking_scaling_policy_configuration": "TargetTrackingScalingPolicyConfiguration",
        },
    ),
    "aws_appautoscaling_target": Request("application-autoscaling", "RegisterScalableTarget"),
    "aws_apprunner_auto_scaling_configuration_version": Request("apprunner", "CreateAutoScalingConfiguration"),
    "aws_apprunner_observability_configuration": Request("apprunner", "CreateObservabilityConfiguration"),
    "aws_apprunner_service": Request("apprunner", "CreateService"),
    "aws_apprunner_vpc_connector": Request("apprunner", "CreateVpcConnector"),
    "aws_cloudfront_distribution": Request("cloudfront", "CreateDistribution", within="DistributionConfig"),
    "aws_cloudfront_function": Request(
        "cloudfront", "CreateFunction", {"comment": "FunctionConfig.Comment", "runtime": "FunctionConfig.Runtime"}
    ),
    "aws_cloudfront_key_value_store": Request("cloudfront", "CreateKeyValueStore"),
    "aws_cloudfront_response_headers_policy": Request(
        "cloudfront", "CreateResponseHeadersPolicy", within="ResponseHeadersPolicyConfig"
    ),
    "aws_cloudfrontkeyvaluestore_key": Request("cloudfront-keyvaluestore", "PutKey"),
    "aws_cloudwatch_composite_alarm": Request("cloudwatch", "PutCompositeAlarm"),
    "aws_cloudwatch_dashboard": Request("cloudwatch", "PutDashboard"),
    "aws_cloudwatch_log_group": Request("logs", "CreateLogGroup", {"name": "logGroupName"}),
    "aws_cloudwatch_metric_alarm": Request("cloudwatch", "PutMetricAlarm", {"metric_query": "Metrics"}),
    "aws_cognito_user_pool": Request("cognito-idp", "CreateUserPool", {"name": "PoolName"}),
    "aws_cognito_user_pool_client": Request("cognito-idp", "CreateUserPoolClient", {"name": "ClientName"}),
    "aws_db_instance": Request("rds", "CreateDBInstance", {"identifier": "DBInstanceIdentifier"}),
    "aws_db_parameter_group": Request("rds", "CreateDBParameterGroup"),
    "aws_db_subnet_group": Request("rds", "CreateDBSubnetGroup"),
    "aws_dynamodb_table": Request("dynamodb", "CreateTable", {"name": "TableName"}),
    "aws_ecr_lifecycle_policy": Request(
        "ecr", "PutLifecyclePolicy", {"repository": "repositoryName", "policy": "lifecyclePolicyText"}
    ),
    "aws_ecr_repository": Request("ecr", "CreateRepository", {"name": "repositoryName"}),
    "aws_ecs_cluster": Request("ecs", "CreateCluster", {"name": "clusterName"}),
    "aws_ecs_service": Request("ecs", "CreateService", {"name": "serviceName", "load_balancer": "loadBalancers"}),
    "aws_ecs_task_definition": Request("ecs", "RegisterTaskDefinition"),
    "aws_eip": Request("ec2", "AllocateAddress"),
    "aws_elasticache_replication_group": Request(
        "elasticache", "CreateReplicationGroup", {"description": "ReplicationGroupDescription"}
    ),
    "aws_elasticache_subnet_group": Request("elasticache", "CreateCacheSubnetGroup"),
    "aws_flow_log": Request("ec2", "CreateFlowLogs", {"log_destination_type": "LogDestinationType"}),
    "aws_iam_openid_connect_provider": Request(
        "iam", "CreateOpenIDConnectProvider", {"client_id_list": "ClientIDList"}
    ),
    "aws_iam_policy": Request("iam", "CreatePolicy", {"name": "PolicyName", "policy": "PolicyDocument"}),
    "aws_iam_role": Request(
        "iam", "CreateRole", {"name": "RoleName", "assume_role_policy": "AssumeRolePolicyDocument"}
    ),
    "aws_iam_role_policy": Request("iam", "PutRolePolicy", {"name": "PolicyName", "policy": "PolicyDocument"}),
    "aws_iam_role_policy_attachment": Request("iam", "AttachRolePolicy", {"role": "RoleName"}),
    "aws_kms_alias": Request("kms", "CreateAlias", {"name": "AliasName"}),
    "aws_kms_key": Request("kms", "CreateKey"),
    "aws_lb": Request("elbv2", "CreateLoadBalancer", {"load_balancer_type": "Type"}),
    "aws_lb_listener": Request("elbv2", "CreateListener", {"default_action": "DefaultActions"}),
    "aws_lb_listener_certificate": Request("elbv2", "AddListenerCertificates"),
    "aws_lb_listener_rule": Request("elbv2", "CreateRule", {"action": "Actions", "transform": "Transforms"}),
    "aws_lb_target_group": Request(
        "elbv2",
        "CreateTargetGroup",
        {
            "health_check.path": "HealthCheckPath",
            "health_check.interval": "HealthCheckIntervalSeconds",
            "health_check.timeout": "HealthCheckTimeoutSeconds",
            "health_check.healthy_threshold": "HealthyThresholdCount",
            "health_check.unhealthy_threshold": "UnhealthyThresholdCount",
        },
    ),
    "aws_nat_gateway": Request("ec2", "CreateNatGateway"),
    "aws_route53_health_check": Request("route53", "CreateHealthCheck", within="HealthCheckConfig"),
    "aws_route53_record": Request(
        "route53", "ChangeResourceRecordSets", within="ChangeBatch.Changes.ResourceRecordSet"
    ),
    "aws_s3_bucket": Request("s3", "CreateBucket"),
    "aws_s3_bucket_lifecycle_configuration": Request(
        "s3", "PutBucketLifecycleConfiguration", {"rule": "Rules"}, within="LifecycleConfiguration"
    ),
    "aws_s3_bucket_object_lock_configuration": Request(
        "s3", "PutObjectLockConfiguration", within="ObjectLockConfiguration"
    ),
    "aws_s3_bucket_ownership_controls": Request(
        "s3", "PutBucketOwnershipControls", {"rule": "Rules"}, within="OwnershipControls"
    ),
    "aws_s3_bucket_server_side_encryption_configuration": Request(
        "s3", "PutBucketEncryption", {"rule": "Rules"}, within="ServerSideEncryptionConfiguration"
    ),
    "aws_s3_bucket_versioning": Request(
        "s3", "PutBucketVersioning", {"versioning_configuration.status": "Status"}, within="VersioningConfiguration"
    ),
    "aws_secretsmanager_secret": Request("secretsmanager", "CreateSecret"),
    "aws_security_group": Request("ec2", "CreateSecurityGroup", {"name": "GroupName"}),
    "aws_sns_topic": Request("sns", "CreateTopic"),
    "aws_sns_topic_subscription": Request("sns", "Subscribe"),
    "aws_subnet": Request("ec2", "CreateSubnet"),
    "aws_vpc": Request("ec2", "CreateVpc"),
    "aws_vpc_endpoint": Request("ec2", "CreateVpcEndpoint"),
    "aws_wafv2_ip_set": Request("wafv2", "CreateIPSet", {"ip_address_version": "IPAddressVersion"}),
    "aws_wafv2_web_acl": Request("wafv2", "CreateWebACL", {"rule": "Rules"}),
    "aws_wafv2_web_acl_association": Request("wafv2", "AssociateWebACL", {"web_acl_arn": "WebACLArn"}),
    "aws_wafv2_web_acl_logging_configuration": Request(
        "wafv2", "PutLoggingConfiguration", within="LoggingConfiguration"
    ),
}

DOCUMENTED: Mapping[tuple[str, str], str] = {
    **{
        (kind, "description"): EC2_DESCRIPTION
        for kind in ("aws_security_group", "aws_vpc_security_group_egress_rule", "aws_vpc_security_group_ingress_rule")
    },
    # https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html and API_CreateTargetGroup.html:
    # 32 characters, alphanumeric or hyphens, none of them first or last.
    ("aws_lb", "name"): r"(?!internal-)[a-zA-Z0-9]([a-zA-Z0-9-]{0,30}[a-zA-Z0-9])?",
    ("aws_lb_target_group", "name"): r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,30}[a-zA-Z0-9])?",
    # https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html and
    # https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_CreateReplicationGroup.html
    ("aws_db_instance", "identifier"): r"[a-zA-Z](?!.*--)[a-zA-Z0-9-]{0,61}[a-zA-Z0-9]",
    ("aws_elasticache_replication_group", "replication_group_id"): r"[a-zA-Z](?!.*--)[a-zA-Z0-9-]{0,38}[a-zA-Z0-9]",
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    ("aws_s3_bucket", "bucket"): r"(?!xn--)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
    # https://docs.aws.amazon.com/waf/latest/developerguide/logging-cw-logs.html
    (
        "aws_wafv2_web_acl_logging_configuration",
        "log_destination_configs",
    ): r"arn:aws[\w-]*:logs:[^:]+:\d+:log-group:aws-waf-logs-.+",
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html: white space does not count.
    ("aws_iam_policy", "policy"): r"(?:\s*+\S){1,6144}\s*+",
    # https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html
    ("aws_sns_topic", "name"): r"[A-Za-z0-9_-]{1,256}",
}
"""Patterns that botocore does not have, by type and attribute; a list's items are compared one by one."""


def refused(kind: str, values: Mapping[str, Any]) -> tuple[list[str], int]:
    """Return a line for each value of a resource that AWS would refuse, and how many constraints were compared."""
    walk = _Walk()
    for (known, attribute), pattern in DOCUMENTED.items():
        if known == kind:
            for value in _many(values.get(attribute)):
                if value is not None:  # not known before the apply
                    walk.compare(attribute, str(value), pattern)
    request = REQUESTS.get(kind)
    if request is not None:
        shape: Shape | None = _shape(request)
        assert shape is not None, f"{kind}: {request.operation} has no {request.within}"
        for name, value in values.items():
            walk.attribute(shape, name, value, request.names, name)
    return walk.problems, walk.compared


class _Walk:
    """Walks values and shapes side by side."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.compared = 0

    def compare(self, place: str, text: str, pattern: str) -> None:
        """Compare a text with a pattern."""
        self.compared += 1
        if not regex.fullmatch(pattern, text, regex.DOTALL):
            self.problems.append(f"{place} is {text!r}, which does not match {pattern}")

    def attribute(self, shape: Shape, name: str, value: Any, names: Mapping[str, str], place: str) -> None:
        """Find the member of a structure for an attribute, and compare the value with it; an unknown attribute is skipped."""
        if place in names:
            member = _path(shape, names[place])
            assert member is not None, f"{place}: no member {names[place]}"
            self.value(member, value, names, place)
            return
        member = _members(shape).get(_plain(name)) or _members(shape).get(_plain(f"{name}s"))
        if member is not None:
            self.value(member, value, names, place)
        elif isinstance(value, list) and len(value) == 1 and isinstance(value[0], Mapping):
            for inner, one in value[0].items():  # a block whose parts may be members of this structure
                if f"{place}.{inner}" in names:
                    self.attribute(shape, inner, one, names, f"{place}.{inner}")

    def value(self, shape: Shape, value: Any, names: Mapping[str, str], place: str) -> None:
        """Compare one value with its shape."""
        if value is None or value == "":
            return
        if shape.type_name == "structure":
            for one in _many(value):
                if isinstance(one, Mapping):
                    for inner, part in one.items():
                        self.attribute(shape, inner, part, names, f"{place}.{inner}")
        elif shape.type_name == "list":
            items = _many(value)
            if items:
                self._range(shape, len(items), place, "items")
            for number, one in enumerate(items):
                self.value(shape.member, one, names, f"{place}[{number}]")
        elif isinstance(value, str) and shape.type_name == "string":
            self._text(shape, value, place)
        elif isinstance(value, int | float) and not isinstance(value, bool) and shape.type_name in _NUMBERS:
            self._range(shape, value, place, "")

    def _text(self, shape: Shape, value: str, place: str) -> None:
        metadata = shape.metadata
        if enum := metadata.get("enum"):
            self.compared += 1
            if value not in enum:
                self.problems.append(f"{place} is {value!r}, not one of {', '.join(enum)}")
        if pattern := metadata.get("pattern"):
            self.compare(place, value, _python(pattern))
        self._range(shape, len(value), place, "characters")

    def _range(self, shape: Shape, size: float, place: str, what: str) -> None:
        for bound, wrong in (("min", operator.lt), ("max", operator.gt)):
            if (limit := shape.metadata.get(bound)) is not None:
                self.compared += 1
                if wrong(size, limit):
                    self.problems.append(f"{place} is {size} {what}".rstrip() + f", and the {bound} is {limit}")


_NUMBERS = ("integer", "long", "float", "double")


def _python(pattern: str) -> str:
    """Return AWS's pattern, which is Java's, for Python: characters beyond 16 bits are not pairs there."""
    return pattern.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF")


@cache
def _shape(request: Request) -> Shape | None:
    model = botocore.session.Session().get_service_model(request.service)
    shape: Shape = model.operation_model(request.operation).input_shape
    return shape if request.within is None else _path(shape, request.within)


def _path(shape: Shape, path: str) -> Shape | None:
    """Return the member at a path of names; lists on the way are entered."""
    for name in path.split("."):
        while shape.type_name == "list":
            shape = shape.member
        if name not in shape.members:
            return None
        shape = shape.members[name]
    return shape


def _members(shape: Shape) -> Mapping[str, Shape]:
    return {_plain(name): member for name, member in getattr(shape, "members", {}).items()}


def _plain(name: str) -> str:
    return str(xform_name(name)).replace("_", "")


def _many(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


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


def kind_of(address: str) -> str:
    """Return the type of a resource, from its address."""
    return next(part for part in reversed(re.sub(r"\[[^\]]*\]", "", address).split(".")[:-1]))
