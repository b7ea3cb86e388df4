"""Decides which resources of a Terraform plan belong to the idle colour alone.

A name is no proof: ``aws_route53_record.weighted["green"]`` sends users to green, and ``module.green_energy.aws_db_instance.main``
is a database of both colours. So a resource belongs to a colour only if its address names the colour, if a colour owns
resources of its type, and if it is neither the live colour's service nor a part of that service.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployment.model import Colour

SERVICE_TYPE = re.compile(r"(ecs|app_?runner).*service\Z")
"""The types of resources that may be a colour's service, of every provider: aws_ecs_service, aws_apprunner_service."""
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
_RECEIVES = re.compile(r"arn:[^/]*:(elasticloadbalancing:[^/]*:targetgroup|servicediscovery:[^/]*:service)/")
"""The values that name a target group or a registry: a service that joins the live colour's gets its traffic."""
_IDENTITY = re.compile(r"arn:|[a-z]+-[0-9a-f]{8,}\Z")
"""The values that name one resource and no other: an ARN, or an id such as sg-0123456789abcdef0."""


@dataclass(frozen=True)
class LiveService:
    """The live colour's service: its name, and every value that the plan shows of it, such as its security groups."""

    name: str
    values: frozenset[str]

    def includes(self, change: Mapping[str, Any]) -> bool:
        """Return whether a change is about this service or a part of it, whatever its address.

        A service that joins the live colour's target group or registry is a part of it, too.
        """
        states = [change["change"].get(one) for one in ("before", "after")]
        joined = {text for text in {*texts_of(states[1])} - {*texts_of(states[0])} if _RECEIVES.match(text)}
        if joined & self.values:
            return True
        return any(self._is_of(state, str(change.get("type", ""))) for state in states if isinstance(state, Mapping))

    def _is_of(self, state: Mapping[str, Any], type_: str) -> bool:
        names = {"name", "service_name"} if SERVICE_TYPE.search(type_) else {"service"}
        if self.name in [state.get(key) for key in names]:
            return True
        own = [state.get(key) for key in ("arn", "id", "security_group_id", "service_arn")]
        if any(isinstance(one, str) and _IDENTITY.match(one) and one in self.values for one in own):
            return True
        name = re.escape(self.name)
        service = re.compile(rf"(arn:[^/]*:)?service/(([^/]+/)?{name}|{name}/[0-9a-f]{{8,}})")
        return any(service.fullmatch(text) for text in texts_of(state))


def texts_of(value: Any) -> Iterator[str]:
    """Yield every text in a JSON value, keys of objects excluded."""
    rest = [value]
    while rest:
        one = rest.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, Mapping):
            rest += one.values()
        elif isinstance(one, Sequence):
            rest += one


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
