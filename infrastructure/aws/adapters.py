"""The platform and router classes behind the names in deployment.toml; each is imported on first use."""

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
# The header in which a colour finds the viewer's host before any switch, if that header is not Host itself. CloudFront's
# function copies the viewer's host into it. A load balancer passes Host on unchanged, but its test listener selects the colour
# by Host. So the live domain goes into this second header, unless a rule rewrites Host to the live domain (rehearsal_hosts).
VIEWER_HOST: Mapping[str, str] = {"cloudfront": "x-forwarded-host", "alb": "x-forwarded-host"}

QUOTAS: Mapping[str, str] = {"apprunner": "apprunner", "ecs": "fargate"}
"""By platform: the service whose quotas it uses, under its name in Service Quotas."""


def platform(name: str) -> type[Any]:
    """Return the class of a platform. Raises SettingsError with the known names if ``name`` is unknown."""
    return _load("platform", name, PLATFORMS)


def router(name: str) -> type[Any]:
    """Return the class of a router. Raises SettingsError with the known names if ``name`` is unknown."""
    return _load("router", name, ROUTERS)


def viewer_host(router: str) -> str:
    """Return the header, in lower case, in which a colour finds the viewer's host behind ``router``."""
    return VIEWER_HOST.get(router, "host")


def _load(kind: str, name: str, known: Mapping[str, str]) -> type[Any]:
    if name not in known:
        raise SettingsError(f"{kind} {name!r} is not known", hint=f"Known: {', '.join(sorted(known))}.")
    module, _, attribute = known[name].rpartition(".")
    found: type[Any] = getattr(import_module(module), attribute)
    return found
