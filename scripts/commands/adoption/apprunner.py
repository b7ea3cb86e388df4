"""Findings and settings for a service on App Runner behind CloudFront."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from deployment.errors import Refused
from infrastructure.aws.adoption import apprunner
from infrastructure.aws.adoption.reader import Reader
from scripts.commands.adoption import parts
from scripts.commands.adoption.hcl import Expression, Module, Variable
from scripts.commands.adoption.model import Adoption, Finding, Request

VARIABLES = (
    Variable("certificate_arn", "string", "Certificate for the live domain, in us-east-1."),
    Variable("access_log_bucket_domain_name", "string", "Bucket of the access log, by its domain name."),
    Variable("origin_header", "object({ name = string, value = string })", "Header with a secret value, by which the service recognizes CloudFront."),
    Variable("verifier_cidrs", "list(string)", "Addresses of the machines that run deployments."),
    Variable("kms_key_arn", "string", "Key that encrypts the web ACL's log, in us-east-1."),
)  # fmt: skip


def adopt(reader: Reader, request: Request) -> Adoption:
    """Read the estate of a service on App Runner and return what it lacks. Raises Refused, NotPermitted, CloudError."""
    estate = apprunner.read(reader, request.service, request.given.distribution)
    live_url = _live_url(estate, request)
    image = estate.service.get("SourceConfiguration", {}).get("ImageRepository", {})
    own = parts.read(reader, request, str(image.get("ImageIdentifier", "")))
    findings = [*_of_service(estate, image), *_front_door(estate, request, live_url), *own.findings]
    where = f"distribution {estate.distribution['Id']}" if estate.distribution else "no CloudFront distribution"
    found = f"App Runner service {request.service} is {request.colour}, behind {where}"
    notes = [
        f"{request.second} need not exist: the first deployment creates it with the configuration of {request.service}.",
        f"The Terraform that owns {request.service} must ignore its image (lifecycle ignore_changes): otherwise its next apply "
        "takes the release back.",
    ]
    makes_front_door = any(one.module == "front-door" for each in findings for one in each.modules)
    settings = _settings(estate, request, live_url, own.settings)
    return Adoption(found, findings, settings, notes, VARIABLES if makes_front_door else ())


def _live_url(estate: apprunner.AppRunnerEstate, request: Request) -> str:
    if request.given.live_url is not None:
        return request.given.live_url
    if estate.aliases:
        return f"https://{estate.aliases[0]}"
    front = (
        "its distribution has no alias that is one domain"
        if estate.distribution
        else "no CloudFront distribution is in front of it"
    )
    raise Refused(
        f"the live domain of {request.service} is unknown: {front}",
        hint="Name it with --live-url, such as --live-url https://api.example.com.",
    )


def _of_service(estate: apprunner.AppRunnerEstate, image: Mapping[str, Any]) -> Iterator[Finding]:
    if image.get("ImageRepositoryType") != "ECR":
        yield Finding(
            "image",
            "the service is built from source code, or from a public image; deployments take images from ECR by digest",
            change='image_repository { image_repository_type = "ECR" } in the aws_apprunner_service',
        )
    if estate.service["Status"] == "PAUSED":
        yield Finding(
            "paused service",
            "users get no answer",
            change=f"aws apprunner resume-service --service-arn {estate.service['ServiceArn']}",
        )
    if estate.origin is None:
        yield Finding(
            "private service",
            "only a VPC reaches the service, and CloudFront and the machine that verifies are outside",
            change="network_configuration { ingress_configuration { is_publicly_accessible = true } } in the aws_apprunner_service",
        )
    if estate.service.get("HealthCheckConfiguration", {}).get("Protocol", "TCP") != "HTTP":
        yield Finding(
            "health check",
            "App Runner considers a release healthy as soon as its port listens",
            change='health_check_configuration { protocol = "HTTP", path = "/health" } in the aws_apprunner_service',
        )


def _front_door(estate: apprunner.AppRunnerEstate, request: Request, live_url: str) -> Iterator[Finding]:
    if estate.distribution is not None and not estate.distribution.get("Enabled", True):
        yield Finding(
            "disabled distribution",
            f"distribution {estate.distribution['Id']} answers no request",
            change="enabled = true in the aws_cloudfront_distribution",
        )
    if estate.distribution is None and estate.origin is None:
        yield Finding(
            "front door",
            "no CloudFront distribution has the service as an origin",
            change="a service that CloudFront reaches, then call adopt again",
        )
    elif estate.distribution is None:
        origin = estate.origin
        arguments = {
            "name": request.name,
            "domain_name": str(urlsplit(live_url).hostname),
            # The first deployment writes the second service's own address to the store.
            "origins": request.by_colour(origin, origin),
            "rate_limit": 50000,
            "log_retention_days": 90,
            **{one.name: Expression(f"var.{one.name}") for one in VARIABLES},
        }
        yield Finding(
            "front door",
            "no CloudFront distribution has the service as an origin; its function and key value store switch the traffic",
            [Module("front_door", "front-door", arguments)],
        )
    elif estate.store is None:
        yield Finding(
            "switch",
            f"distribution {estate.distribution['Id']} has no viewer-request function with a key value store",
            change="the functions and the store of infrastructure/terraform/modules/front-door, in the Terraform that owns it",
        )
    elif estate.unreadable is not None:
        yield Finding(
            "routes",
            f"the key value store does not say where traffic goes: {estate.unreadable}",
            change="the keys of infrastructure/terraform/modules/front-door/store.tf, in the Terraform that owns the store",
        )


def _settings(
    estate: apprunner.AppRunnerEstate, request: Request, live_url: str, own: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    if estate.store is None:
        return None
    return {
        "platform": "apprunner",
        "router": "cloudfront",
        "account": request.account,
        "region": request.region,
        "live_url": live_url,
        "services": request.by_colour(request.service, request.second),
        "key_value_store_arn": estate.store,
        **own,
    }
