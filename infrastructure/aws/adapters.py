"""Which implementation a name in deployment.toml means; imported when it is asked for, not before."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from deployment.errors import SettingsError

PLATFORMS: Mapping[str, str] = {
    "apprunner": "infrastructure.aws.apprunner.platform.AppRunnerPlatform",
    "ecs": "infrastructure.aws.ecs.platform.EcsPlatform",
}
ROUTERS: Mapping[str, str] = {
    "cloudfront": "infrastructure.aws.cloudfront.router.CloudFrontRouter",
    "alb": "infrastructure.aws.load_balancer.router.AlbRouter",
    "route53": "infrastructure.aws.route53.router.Route53Router",
}
# The header in which a colour finds the viewer's host before any switch, where it is not Host itself. CloudFront's function hands
# it on so. A load balancer hands Host on as it is, but its test listener tells the colours apart by it: unless a rule there puts
# the live domain in its place (rehearsal_hosts), it can only be named beside it.
VIEWER_HOST: Mapping[str, str] = {"cloudfront": "x-forwarded-host", "alb": "x-forwarded-host"}

QUOTAS: Mapping[str, str] = {"apprunner": "apprunner", "ecs": "fargate"}
"""The service whose quotas a platform uses up, by the name that Service Quotas has for it."""


def platform(name: str) -> type[Any]:
    """The class of the platform of that name; raises SettingsError with the known names."""
    return _load("platform", name, PLATFORMS)


def router(name: str) -> type[Any]:
    """The class of the router of that name; raises SettingsError with the known names."""
    return _load("router", name, ROUTERS)


def viewer_host(router: str) -> str:
    """The header, in small letters, in which a colour finds the viewer's host behind that router."""
    return VIEWER_HOST.get(router, "host")


def _load(kind: str, name: str, known: Mapping[str, str]) -> type[Any]:
    if name not in known:
        raise SettingsError(f"{kind} {name!r} is not known", hint=f"Known: {', '.join(sorted(known))}.")
    module, _, attribute = known[name].rpartition(".")
    found: type[Any] = getattr(import_module(module), attribute)
    return found
