"""Which router can switch which platform; a pair that cannot work is refused with the reason, before anything else is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployment.errors import SettingsError

IMPOSSIBLE: Mapping[tuple[str, str], str] = {
    ("apprunner", "route53"): (
        "App Runner answers 404 for a host that it does not know, and one custom domain cannot be on two services: "
        "a DNS record that moves from one to the other takes the site down"
    ),
    ("apprunner", "alb"): (
        "a load balancer's targets are addresses in a VPC, and App Runner's public services have none; "
        "for the live domain's host App Runner would answer 404, too"
    ),
    ("ecs", "cloudfront"): (
        "the colours of ECS stand behind load balancers, whose weights switch per request and in seconds: the switching "
        "function would be a second switch before the first (a plain distribution may stand before the load balancer)"
    ),
}
INSTEAD: Mapping[str, str] = {"apprunner": 'router = "cloudfront"', "ecs": 'router = "alb" or "route53"'}


def refuse_impossible(document: Mapping[str, Any], name: str) -> None:
    """Raises SettingsError where an environment pairs a platform with a router that cannot switch it.

    The document need not be valid yet: of a pair that cannot work, its router's missing keys are not asked for.
    """
    environments = document.get("environments")
    for environment, own in environments.items() if isinstance(environments, Mapping) else ():
        if not isinstance(own, Mapping):
            continue
        pair = (str(own.get("platform")), str(own.get("router")))
        if pair in IMPOSSIBLE:
            raise SettingsError(
                f"{name}: environments.{environment}: platform {pair[0]!r} with router {pair[1]!r} cannot work: "
                f"{IMPOSSIBLE[pair]}",
                hint=f"With platform {pair[0]!r}, use {INSTEAD[pair[0]]}.",
            )
