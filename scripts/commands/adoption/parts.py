"""Findings about the parts that every platform needs: lock, evidence, secrets, repository."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from deployment.errors import Refused
from infrastructure.aws.adoption import parts
from infrastructure.aws.adoption.reader import Reader
from scripts.commands.adoption.hcl import Module
from scripts.commands.adoption.model import Finding, Request

_ECR = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([^@:]+)")
_KEPT_DAYS = {"audit_retention_days": 365, "log_retention_days": 90}
_VALUES = {
    "smoke-users": "two users of the service, as JSON: docs/aws.md has the form",
    "signing-key": "an Ed25519 key: openssl genpkey -algorithm ed25519 -out signing-key",
    "signing-public-key": "its public half: openssl pkey -in signing-key -pubout -out signing-public-key",
}


@dataclass(frozen=True)
class Parts:
    """The findings, and the settings that name the parts."""

    findings: tuple[Finding, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)


def read(reader: Reader, request: Request, image: str) -> Parts:
    """Return the state of all parts; ``image`` is the one that the existing service runs. Raises NotPermitted, CloudError."""
    settings: dict[str, Any] = {}
    findings = (*_state(reader, request, settings), *_secrets(reader, request, settings))
    return Parts((*findings, *_repository(reader, request, image, settings)), settings)


def _state(reader: Reader, request: Request, settings: dict[str, Any]) -> Iterator[Finding]:
    settings["lease_table"] = request.lease_table
    if not parts.table_exists(reader, request.lease_table):
        if request.given.lease_table is not None:
            raise Refused(
                f"DynamoDB table {request.lease_table} does not exist in this account and region",
                hint="Omit --lease-table, and adopt prints the Terraform for one.",
            )
        arguments = {"name": request.name, "account": request.account, **_KEPT_DAYS, "deletion_protection": True}
        yield Finding(
            "lock and evidence",
            f"DynamoDB table {request.lease_table} does not exist; deployments lock the environment there",
            [Module("deploy_state", "deploy-state", arguments)],
        )
    if parts.bucket_exists(reader, request.audit_bucket):
        settings["audit_bucket"] = request.audit_bucket


def _secrets(reader: Reader, request: Request, settings: dict[str, Any]) -> Iterator[Finding]:
    given = request.given
    names = {
        "smoke-users": ("smoke_users_secret", request.smoke_users_secret, given.smoke_users_secret),
        "signing-key": ("signing_key_secret", request.signing_key_secret, given.signing_key_secret),
        "signing-public-key": (
            "signing_public_key_secret",
            request.signing_public_key_secret,
            given.signing_public_key_secret,
        ),
    }
    missing = []
    for name, (key, place, chosen) in names.items():
        state = parts.secret(reader, place)
        if state.deleted:
            settings[key] = place
            yield Finding(
                f"secret {name}",
                f"secret {place} is scheduled for deletion, and its name is taken until then",
                change=f"aws secretsmanager restore-secret --secret-id {place}",
            )
        elif state.arn is not None:
            settings[key] = state.arn
        elif chosen is not None:
            raise Refused(
                f"secret {chosen} does not exist in this account and region",
                hint=f"Omit --{key.replace('_', '-')}, and adopt prints the Terraform for one.",
            )
        else:
            settings[key] = place
            missing.append(name)
        if state.arn is not None and not state.has_value:
            command = f"aws secretsmanager put-secret-value --secret-id {place} --secret-string file://{name}"
            yield Finding(f"value of {name}", f"secret {place} has no value", change=f"{command}  # {_VALUES[name]}")
    if missing:
        arguments = {"prefix": request.prefix, "names": sorted(missing), "redis": False}
        yield Finding(
            "secrets",
            f"not found: {', '.join(f'{request.prefix}/{name}' for name in sorted(missing))}",
            [Module("secrets", "secrets", arguments)],
        )


def _repository(reader: Reader, request: Request, image: str, settings: dict[str, Any]) -> Iterator[Finding]:
    known = _ECR.match(image)
    own = known[3] if known and (known[1], known[2]) == (request.account, request.region) else None
    name = request.given.repository or own or re.sub(r"[^a-z0-9]+", "-", request.service.lower()).strip("-")
    settings["ecr_repository"] = name
    found = parts.repository(reader, name)
    if found is None:
        where = "" if own or not image else f", and the service runs the image {image.partition('@')[0]}"
        yield Finding(
            "repository",
            f"the account's registry has no repository {name}{where}; deployments take images from there by digest",
            [Module("registry", "registry", {"repository": name})],
        )
    elif not str(found.get("imageTagMutability", "")).startswith("IMMUTABLE"):
        yield Finding(
            "immutable tags",
            f"a tag of repository {name} can be moved to another image after it was verified",
            change='image_tag_mutability = "IMMUTABLE" in the aws_ecr_repository',
        )
