"""Decides which resources of a Terraform plan belong to the idle colour alone.

A name is no proof: ``aws_route53_record.weighted["green"]`` sends users to green, and ``module.green_energy.aws_db_instance.main``
is a database of both colours. So a resource belongs to a colour only if its address names the colour, if a colour owns
resources of its type, and if it is neither the live colour's service nor a part of that service.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from deployment.model import Colour

OWNED = re.compile(
    r"""(aws|awscc)_(
        ecs_service | ecs_task_definition | ecs_task_set | apprunner_service
        | appautoscaling_(target|policy|scheduled_action)
        | applicationautoscaling_(scalable_target|scaling_policy)
    )\Z""",
    re.VERBOSE,
)
"""The types that a colour owns if any part of the address names it: its service and how that service scales."""
OWNED_WITH_KEY = re.compile(
    r"(aws|awscc)_(cloudwatch_(metric|composite)_alarm|cloudwatch_alarm|a?lb_target_group|elasticloadbalancingv2_target_group)\Z"
)
"""The types that a colour owns if it is a key of the resource or of a module: ``aws_cloudwatch_metric_alarm.errors["green"]``."""
OWNED_IN_MODULE = re.compile(
    r"aws_(security_group(_rule)?|vpc_security_group_(ingress|egress)_rule|wafv2_web_acl_association)\Z|terraform_data\Z"
)
"""The types that a colour owns if it is the key of a module: ``module.ecs_service["green"].aws_security_group.main``."""
_KEY = r'(?:\[(?:"(?:[^"\\]|\\.)*"|[0-9]+)\])?'
_ADDRESS = re.compile(
    rf"(?P<modules>(?:module\.[\w-]+{_KEY}\.)*)(?P<data>data\.)?(?P<type>[A-Za-z][\w-]*)\.(?P<name>[\w-]+)(?P<key>{_KEY})\Z"
)
_MODULE_KEY = re.compile(rf"module\.[\w-]+({_KEY})\.")


def is_data_source(change: Mapping[str, Any]) -> bool:
    """Return whether an entry of resource_changes is a data source, by its address and by its mode."""
    found = _ADDRESS.match(change["address"])
    return found is not None and found["data"] is not None and change.get("mode", "data") == "data"


def owned_by(change: Mapping[str, Any], address: str, colour: Colour) -> bool:
    """Return whether the resource of a change, at this address, is one that the colour alone owns."""
    found = _ADDRESS.match(address)
    if found is None or found["data"] or change.get("mode", "managed") != "managed":
        return False
    if change.get("type", found["type"]) != found["type"] or not belongs_to(address, colour):
        return False
    key = f'["{colour}"]'
    in_module = key in _MODULE_KEY.findall(found["modules"])
    return bool(
        OWNED.match(found["type"])
        or ((in_module or found["key"] == key) and OWNED_WITH_KEY.match(found["type"]))
        or (in_module and OWNED_IN_MODULE.match(found["type"]))
    )


def belongs_to(address: str, colour: Colour) -> bool:
    """Return whether a resource's address names this colour and not the other: ``module.app_runner["green"].aws_…``.

    The term blue_green, as in ``module.blue_green.aws_…``, names neither.
    """
    words = set(re.split(r"[^A-Za-z0-9]+", re.sub(r"(?<![a-z0-9])blue[-_]?green(?![a-z0-9])", "", address.lower())))
    return colour.value in words and colour.other.value not in words
