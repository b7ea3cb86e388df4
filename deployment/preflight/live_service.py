"""Decides whether a change of a Terraform plan is about the live colour's service, whatever the address of the resource.

An address is no proof: after ``terraform state mv``, ``aws_cloudwatch_metric_alarm.errors["green"]`` may be blue's alarm. Names,
ARNs and ids of the resource decide. A name that both colours may share, as that of a scaling policy, decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployment.model import Colour
from deployment.preflight.terraform_parts import belongs_to

SERVICE_TYPE = re.compile(r"(ecs|app_?runner).*service\Z")
"""The types of resources that may be a colour's service, of every provider: aws_ecs_service, aws_apprunner_service."""
_ALARM_TYPE = re.compile(r"cloudwatch_.*alarm\Z")
_UNIQUE_NAME = re.compile(r"(cloudwatch_.*alarm|target_group|ecs_task_definition|_security_group)\Z")
"""The types with a name that one colour alone uses if the name has its colour in it."""
_RECEIVES = re.compile(
    r"arn:[^/]*:((elasticloadbalancing|vpc-lattice):[^/]*:targetgroup|servicediscovery:[^/]*:service)/"
)
"""The values that name a target group or a registry: a service that joins the live colour's gets its traffic."""
_IDENTITY = re.compile(r"arn:|[a-z]+-[0-9a-f]{8,}\Z")
"""The values that name one resource and no other: an ARN, or an id such as sg-0123456789abcdef0."""


@dataclass(frozen=True)
class LiveService:
    """The live colour's service: its name, and every value that the plan shows of it, such as its security groups.

    ``aliases`` are the names in Service Connect under which it receives traffic; ``idle_name`` is the idle colour's service.
    """

    name: str
    colour: Colour
    values: frozenset[str] = frozenset()
    aliases: frozenset[tuple[str, str]] = frozenset()
    idle_name: str | None = None

    def includes(self, change: Mapping[str, Any]) -> bool:
        """Return whether a change is about this service or a part of it, whatever its address.

        A service that joins the live colour's target group, registry or alias is a part of it, too.
        """
        before, after = (change["change"].get(one) for one in ("before", "after"))
        joined = {text for text in {*texts_of(after)} - {*texts_of(before)} if _RECEIVES.match(text)}
        if joined & self.values or ({*aliases_of(after)} - {*aliases_of(before)}) & self.aliases:
            return True
        return any(self._is_of(one, str(change.get("type", ""))) for one in (before, after) if isinstance(one, Mapping))

    def _is_of(self, state: Mapping[str, Any], type_: str) -> bool:
        names = {"name", "service_name"} if SERVICE_TYPE.search(type_) else {"service", "family"}
        if self.name in [state.get(key) for key in names]:
            return True
        own = [state.get(key) for key in ("arn", "id", "security_group_id", "service_arn")]
        if any(isinstance(one, str) and _IDENTITY.match(one) and one in self.values for one in own):
            return True
        if any(self._service.fullmatch(text) for text in texts_of(state)):
            return True
        named = [one for key in ("alarm_name", "name", "family") if isinstance(one := state.get(key), str)]
        if _UNIQUE_NAME.search(type_) and any(self._has_only_this_colour(one) for one in named):
            return True
        return bool(_ALARM_TYPE.search(type_)) and self._is_watched(state, named)

    @property
    def _service(self) -> re.Pattern[str]:
        """The service's ARN, and the ids with its name that autoscaling makes: service/CLUSTER/NAME|ecs:service:DesiredCount|ecs."""
        name = re.escape(self.name)
        return re.compile(
            rf"(arn:\S*[:/]|([^/\s]+/)?ecs/)?service/([^/|:]+/{name}([/|:].*)?|{name}([|:].*)?|{name}/[0-9a-f]{{8,}})"
        )

    def _is_watched(self, alarm: Mapping[str, Any], names: Sequence[str]) -> bool:
        """Return whether an alarm watches this service alone, or has its name and watches no other."""
        own = {value == self.name for key, value in _dimensions_of(alarm) if key == "ServiceName"}
        own |= {value in self.values for key, value in _dimensions_of(alarm) if key == "ServiceID"}
        groups = {value for key, value in _dimensions_of(alarm) if key == "TargetGroup"}
        own |= {any(text.endswith(f":{one}") for text in self.values) for one in groups}
        if own:
            return own == {True}
        return any(_has(one, self.name) and not self._may_be_idle(one) for one in names)

    def _may_be_idle(self, name: str) -> bool:
        return belongs_to(name, self.colour.other) or (self.idle_name is not None and _has(name, self.idle_name))

    def _has_only_this_colour(self, name: str) -> bool:
        """Return whether a name has the live colour in it; never if the services' own names do not tell the colours apart."""
        if not belongs_to(self.name, self.colour) or belongs_to(self.idle_name or "", self.colour):
            return False
        return belongs_to(name, self.colour) and not self._may_be_idle(name)


def _has(text: str, name: str) -> bool:
    """Return whether a text has this name in it as whole words."""
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", text) is not None


def _dimensions_of(alarm: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and value of each dimension of an alarm, in the spelling of either provider."""
    for one in _objects_in(alarm):
        dimensions = one.get("dimensions")
        if isinstance(dimensions, Mapping):
            yield from dimensions.items()
        elif isinstance(dimensions, list):
            yield from ((str(each.get("name")), each.get("value")) for each in dimensions if isinstance(each, Mapping))


def aliases_of(service: Any) -> Iterator[tuple[str, str]]:
    """Yield the namespace and the name of each alias in Service Connect under which a service receives traffic."""
    for one in _objects_in(service):
        connect = one.get("service_connect_configuration")
        for part in connect if isinstance(connect, list) else [connect]:
            namespace = part.get("namespace") if isinstance(part, Mapping) else None
            names = (inner.get(key) for inner in _objects_in(part) for key in ("dns_name", "discovery_name"))
            yield from ((str(namespace), name) for name in names if isinstance(name, str))


def _objects_in(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every object in a JSON value."""
    rest = [value]
    while rest:
        one = rest.pop()
        if isinstance(one, Mapping):
            yield one
            rest += one.values()
        elif isinstance(one, list):
            rest += one


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
