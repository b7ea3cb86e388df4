"""Stand-ins for AWS's values: values of the right shape for the attributes that a provider computes."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from typing import Any

ACCOUNT = "123456789012"
REGION = "us-east-1"
ZONE_ID = "Z0123456789ABCDEFGHIJ"

NAMES = ("name", "bucket", "identifier", "service_name", "family", "alarm_name", "function_name", "key", "description")

# The form of a resource's ARN; {name} is the resource's name, {hex} and {uuid} stand for parts that AWS generates.
_ARNS: Mapping[str, str] = {
    "aws_apprunner_service": "apprunner:{region}:{account}:service/{name}/{hex}{hex}",
    "aws_cloudfront_key_value_store": "cloudfront::{account}:key-value-store/{uuid}",
    "aws_cloudwatch_log_group": "logs:{region}:{account}:log-group:{name}",
    "aws_cloudwatch_metric_alarm": "cloudwatch:{region}:{account}:alarm:{name}",
    "aws_cloudwatch_composite_alarm": "cloudwatch:{region}:{account}:alarm:{name}",
    "aws_dynamodb_table": "dynamodb:{region}:{account}:table/{name}",
    "aws_ecr_repository": "ecr:{region}:{account}:repository/{name}",
    "aws_ecs_cluster": "ecs:{region}:{account}:cluster/{name}",
    "aws_ecs_task_definition": "ecs:{region}:{account}:task-definition/{name}:1",
    "aws_iam_policy": "iam::{account}:policy/{name}",
    "aws_iam_role": "iam::{account}:role/{name}",
    "aws_kms_key": "kms:{region}:{account}:key/{uuid}",
    "aws_lb": "elasticloadbalancing:{region}:{account}:loadbalancer/app/{name}/{hex}",
    "aws_lb_listener": "elasticloadbalancing:{region}:{account}:listener/app/alb/{hex}/{hex}",
    "aws_lb_listener_rule": "elasticloadbalancing:{region}:{account}:listener-rule/app/alb/{hex}/{hex}/{hex}",
    "aws_lb_target_group": "elasticloadbalancing:{region}:{account}:targetgroup/{name}/{hex}",
    "aws_s3_bucket": "s3:::{name}",
    "aws_secretsmanager_secret": "secretsmanager:{region}:{account}:secret:{name}-AbCdEf",
    "aws_wafv2_web_acl": "wafv2:{region}:{account}:regional/webacl/{name}/{uuid}",
    "aws_sns_topic": "sns:{region}:{account}:{name}",
}

DATA: Mapping[str, Mapping[str, Any]] = {
    "aws_availability_zones": {"names": [f"{REGION}{letter}" for letter in "abc"], "id": REGION},
    "aws_caller_identity": {"account_id": ACCOUNT, "arn": f"arn:aws:iam::{ACCOUNT}:user/plan", "id": ACCOUNT},
    "aws_ecr_image": {"image_digest": "sha256:" + "0" * 64},
    "aws_partition": {"partition": "aws", "dns_suffix": "amazonaws.com", "id": "aws"},
    "aws_region": {"name": REGION, "region": REGION, "id": REGION},
    "aws_route53_zone": {"zone_id": ZONE_ID, "id": ZONE_ID, "arn": f"arn:aws:route53:::hostedzone/{ZONE_ID}"},
}


def name_of(config: Mapping[str, Any]) -> str:
    """Return a resource's name from its configuration."""
    return next((str(config[key]) for key in NAMES if isinstance(config.get(key), str)), "")


def computed(shape: Any, attribute: str, kind: str, name: str) -> Any:
    """Return a value of the shape (Terraform's JSON notation of types) for an attribute that the provider computes."""
    if shape == "string":
        return _text(attribute, kind, name)
    if shape in ("number", "bool", "dynamic"):
        return {"number": 0, "bool": False, "dynamic": None}[shape]
    if shape[0] in ("list", "set"):
        inner = shape[1]
        return [computed(inner, attribute, kind, name)] if isinstance(inner, list) and inner[0] == "object" else []
    if shape[0] == "map":
        return {}
    return {key: computed(value, key, kind, name) for key, value in shape[1].items()}


def _text(attribute: str, kind: str, name: str) -> str:
    if attribute == "arn" or (attribute == "id" and kind == "aws_lb_listener_rule"):
        return _arn(kind, name)
    if attribute.endswith("_arn"):
        return f"arn:aws:service:{REGION}:{ACCOUNT}:{attribute}/{name}"
    if attribute in ("json", "policy"):
        return "{}"
    if attribute.endswith(("_url", "domain_name", "_address")) or attribute in ("endpoint", "fqdn", "dns_name"):
        return f"{name or kind}.example.com".replace("_", "-").replace("/", "-").lower()
    if attribute == "service_id":
        return _generated(kind + name, "hex") * 2
    if attribute == "id" and kind == "aws_route53_health_check":
        return _generated(kind + name, "uuid")
    return f"{attribute}-of-{name}" if name else attribute


def _arn(kind: str, name: str) -> str:
    pattern = _ARNS.get(kind, "service:{region}:{account}:" + kind + "/{name}")
    generated = {key: _generated(kind + name, key) for key in ("hex", "uuid")}
    return "arn:aws:" + pattern.format(region=REGION, account=ACCOUNT, name=name, **generated)


def _generated(seed: str, form: str) -> str:
    digest = hashlib.sha256(seed.encode()).hexdigest()
    return digest[:16] if form == "hex" else str(uuid.UUID(digest[:32]))
