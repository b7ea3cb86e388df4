"""A load balancer's actions, read and sent back: pure functions, so that a test of a rule takes one line."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployment.errors import SwitchFailed
from deployment.model import Colour, Routes
from infrastructure.aws.routes import Stamp, percentages

Actions = Sequence[Mapping[str, Any]]

_STICKY_S = 3600
"""How many seconds clients stay with their target group if only the target groups are sticky and say nothing about it."""


@dataclass(frozen=True)
class Reading:
    """A rule or a listener as read: its actions from AWS, the stamp's text (None: never stamped), the routes."""

    actions: Actions
    stamp: str | None
    routes: Routes

    @property
    def stamped_weights(self) -> Mapping[Colour, int] | None:
        """The stamp's weights if the actions have other weights; None if both agree."""
        if self.stamp is None:
            return None
        meant = Stamp.parse(self.stamp, "the stamp").weights
        return None if meant == self.routes.weights else meant


def reading(actions: Actions, stamp: str | None, groups: Mapping[Colour, str], place: str) -> Reading:
    """Return actions and stamp as routes. Raises SwitchFailed if they do not say where traffic goes."""
    shares = _shares(_forward(actions, place), place)
    strangers = sorted(set(shares) - set(groups.values()))
    if strangers:
        raise SwitchFailed(f"{place} forwards to {strangers[0]}, which is neither colour's target group")
    weights = percentages({colour: shares.get(groups[colour], 0) for colour in Colour}, place)
    said = Stamp.parse(stamp, f"the tag of {place}") if stamp is not None else None
    live = max(Colour, key=lambda colour: (weights[colour], said is not None and colour is said.live))
    revision = hashlib.sha256(json.dumps([list(actions), stamp], sort_keys=True).encode()).hexdigest()
    return Reading(
        actions,
        stamp,
        Routes(live, weights, said.generation if said else 0, revision, said.fence if said else 0),
    )


def with_weights(
    actions: Actions, weights: Mapping[Colour, int], groups: Mapping[Colour, str], place: str
) -> Sequence[Sequence[Mapping[str, Any]]]:
    """Return requests for new weights, best first: if AWS refuses one for its stickiness, the next one has another.

    Each has all actions: AWS removes the actions that a modification omits.
    """
    configs = _forward_configs(_forward(actions, place), weights, groups)
    return [
        [_forwarding(one, config) if one["Type"] == "forward" else _resent(one) for one in actions]
        for config in configs
    ]


def _forward_configs(
    action: Mapping[str, Any], weights: Mapping[Colour, int], groups: Mapping[Colour, str]
) -> Sequence[Mapping[str, Any]]:
    """Return what the forwarding action may say, best first.

    A sticky client stays with its target group even at weight 0, and all traffic has to move. So a target group
    without weight is not in a sticky action. AWS demands a sticky action for two target groups if one of them has
    stickiness of its own.
    """
    config = copy.deepcopy(dict(action.get("ForwardConfig", {})))
    stickiness = config.pop("TargetGroupStickinessConfig", {})
    was_sticky = bool(stickiness.get("Enabled"))
    sticky = stickiness if was_sticky else {"Enabled": True, "DurationSeconds": _STICKY_S}
    both = [{"TargetGroupArn": groups[colour], "Weight": weights[colour]} for colour in Colour]
    used = [one for one in both if one["Weight"]]
    as_sticky = {**config, "TargetGroups": used, "TargetGroupStickinessConfig": sticky}
    not_sticky = {**config, "TargetGroups": both, "TargetGroupStickinessConfig": {"Enabled": False}}
    if was_sticky:
        return [as_sticky] if len(used) == len(both) else [as_sticky, not_sticky]
    return [not_sticky, as_sticky]


def _forwarding(action: Mapping[str, Any], config: Mapping[str, Any]) -> Mapping[str, Any]:
    order = {"Order": action["Order"]} if "Order" in action else {}
    return {"Type": "forward", "ForwardConfig": config, **order}


def _resent(action: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an action before the forwarding one as it must be sent: AWS does not return a sign-in's secret."""
    own = copy.deepcopy(dict(action))
    if "AuthenticateOidcConfig" in own:
        own["AuthenticateOidcConfig"]["UseExistingClientSecret"] = True
    return own


def _forward(actions: Actions, place: str) -> Mapping[str, Any]:
    found = [one for one in actions if one.get("Type") == "forward"]
    if len(found) != 1:
        kinds = ", ".join(str(one.get("Type")) for one in actions) or "nothing"
        raise SwitchFailed(f"{place} does not forward to the colours: its actions are {kinds}")
    return found[0]


def _shares(forward: Mapping[str, Any], place: str) -> Mapping[str, int]:
    """Return the weight of each target group by ARN; a group that is the only one has all of it."""
    groups = forward.get("ForwardConfig", {}).get("TargetGroups") or (
        [{"TargetGroupArn": forward["TargetGroupArn"]}] if "TargetGroupArn" in forward else []
    )
    if not groups:
        raise SwitchFailed(f"{place} forwards to no target group")
    return {str(group["TargetGroupArn"]): int(group.get("Weight", 1)) for group in groups}
