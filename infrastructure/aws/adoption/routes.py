"""The rules of a load balancer, judged for blue/green: pure functions, so that a test of a rule takes one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_LAST_PRIORITY = 50_000
_ANY_HOST = frozenset("*?")
_USUAL_PORTS = {"HTTP": 80, "HTTPS": 443}


@dataclass(frozen=True)
class Route:
    """A rule of a listener, as DescribeListeners and DescribeRules return them; a default action is a rule, too."""

    listener: Mapping[str, Any]
    rule: Mapping[str, Any]

    @property
    def is_default(self) -> bool:
        """Whether this is the listener's default action."""
        return bool(self.rule.get("IsDefault"))

    @property
    def arn(self) -> str:
        """The ARN under which the deployer writes it: the rule's, or the listener's for its default action."""
        return str(self.listener["ListenerArn"] if self.is_default else self.rule["RuleArn"])

    @property
    def actions(self) -> tuple[str, ...]:
        """The types of its actions, in order."""
        return tuple(str(one.get("Type")) for one in self.rule.get("Actions", ()))

    @property
    def groups(self) -> frozenset[str]:
        """The ARNs of the target groups that it forwards to."""
        return frozenset(self.weights)

    @property
    def weights(self) -> Mapping[str, int]:
        """The weights of its target groups; a group without a weight has 1, as on AWS."""
        targets = [one for action in self.rule.get("Actions", ()) for one in _targets(action)]
        return {str(one["TargetGroupArn"]): int(one.get("Weight", 1)) for one in targets}

    @property
    def is_sticky(self) -> bool:
        """Whether it keeps a client with its target group."""
        configs = [action.get("ForwardConfig", {}) for action in self.rule.get("Actions", ())]
        return any(one.get("TargetGroupStickinessConfig", {}).get("Enabled") for one in configs)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts of its conditions, without patterns."""
        found: list[str] = []
        for condition in self.rule.get("Conditions", ()):
            if condition.get("Field") == "host-header":
                found += condition.get("HostHeaderConfig", {}).get("Values") or condition.get("Values", ())
        return tuple(one for one in found if not _ANY_HOST.intersection(one))

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of its conditions; their values may be secret."""
        return tuple(str(one.get("Field")) for one in self.rule.get("Conditions", ()))

    @property
    def port(self) -> int:
        """The listener's port."""
        return int(self.listener["Port"])

    def url(self, host: str) -> str:
        """Return the URL under which a host reaches this listener."""
        scheme = str(self.listener["Protocol"]).lower()
        usual = _USUAL_PORTS.get(str(self.listener["Protocol"])) == self.port
        return f"{scheme}://{host}" if usual else f"{scheme}://{host}:{self.port}"

    def __str__(self) -> str:
        """Return the route as a person names it, without the values of its conditions."""
        place = f"port {self.port}"
        if self.is_default:
            return f"the default action of {place}"
        where = f" for {', '.join(self.hosts)}" if self.hosts else ""
        return f"rule {self.rule.get('Priority')} of {place}{where}"


@dataclass(frozen=True)
class Routes:
    """The routes of one load balancer that concern one service.

    ``live`` are those that may take the users' traffic, ``weighted`` is the only one that forwards to both colours: a
    sticky rule forwards to only one of them after a switch.
    ``tests`` holds, by target group, a route that leads only there.
    """

    live: Sequence[Route] = ()
    weighted: Route | None = None
    tests: Mapping[str, Route] = field(default_factory=dict)

    def beside(self, chosen: Route) -> Sequence[Route]:
        """Return the live routes that a switch of ``chosen`` does not move, without those that ``chosen`` overtakes."""
        return [one for one in self.live if one.arn != chosen.arn and not _overtakes(chosen, one)]


def _targets(action: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the target groups of an action; ``TargetGroupArn`` beside ``ForwardConfig`` repeats the only one."""
    if action.get("Type") != "forward":
        return ()
    return action.get("ForwardConfig", {}).get("TargetGroups", ()) or [action] * ("TargetGroupArn" in action)


def routes_of(routes: Sequence[Route], group: str, second: str | None, test_ports: Sequence[int]) -> Routes:
    """Return the routes that concern the target groups of a service: ``group``, and ``second`` if it exists."""
    pair = {group, second}
    both = [one for one in routes if second is not None and one.groups == pair]
    if second is not None and not both:
        both = [
            one for one in routes if one.is_sticky and one.groups and one.groups < pair and one.port not in test_ports
        ]
    weighted = both[0] if len(both) == 1 else None
    single = [one for one in routes if len(one.groups) == 1]
    tests = {
        next(iter(one.groups)): one
        for one in reversed(single)
        if one.is_default and one.port in test_ports and one.groups <= {group, second}
    }
    if not tests and weighted is not None:
        tests = _by_host([one for one in single if not set(one.hosts) & set(weighted.hosts)], group, second)
    live = [one for one in routes if group in one.groups and one not in tests.values() and one.port not in test_ports]
    return Routes(live, weighted, tests)


def _by_host(single: Sequence[Route], group: str, second: str | None) -> dict[str, Route]:
    """Return for both colours a rule that leads only there for a host of its own; empty unless both have one."""
    found = {
        next(iter(one.groups)): one
        for one in reversed(single)
        if one.fields == ("host-header",) and one.hosts and one.groups <= {group, second}
    }
    return found if len(found) == 2 else {}


def _overtakes(chosen: Route, other: Route) -> bool:
    """Return whether ``chosen`` takes every request that ``other`` would get: the same conditions, right before it."""
    if chosen.listener["ListenerArn"] != other.listener["ListenerArn"] or chosen.is_default:
        return False
    if other.is_default:
        return chosen.rule.get("Conditions", ()) == [] or _paths(chosen) == ["*"]
    earlier = int(chosen.rule["Priority"]) < int(other.rule["Priority"])
    return earlier and _conditions(chosen) == _conditions(other)


def _conditions(route: Route) -> list[str]:
    return sorted(str(sorted(one.items(), key=str)) for one in route.rule.get("Conditions", ()))


def _paths(route: Route) -> list[str] | None:
    """Return the path patterns of a rule that has no other condition; None for other rules."""
    conditions = route.rule.get("Conditions", ())
    if len(conditions) != 1 or conditions[0].get("Field") != "path-pattern":
        return None
    return list(conditions[0].get("PathPatternConfig", {}).get("Values") or conditions[0].get("Values", ()))


def priority_before(route: Route, rules: Sequence[Route]) -> int | None:
    """Return a free priority right before a rule, or behind all others in the place of a default action; None without one."""
    taken = sorted(int(one.rule["Priority"]) for one in rules if not one.is_default)
    if route.is_default:
        after = (taken[-1] if taken else 0) + 1
        return after if after <= _LAST_PRIORITY else None
    own = int(route.rule["Priority"])
    before = max((one for one in taken if one < own), default=0)
    return own - 1 if own - 1 > before else None
