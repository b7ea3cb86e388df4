"""The request of `adopt`, and its result: the settings, and what the estate lacks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deployment.model import Colour
from scripts.commands.adoption.hcl import Module, Variable

_LONGEST_NAME = 38
"""A bucket's name has at most 63 characters, and deploy-state appends up to 25."""


@dataclass(frozen=True)
class Given:
    """The options that replace what `adopt` would choose or find; None for those that the user omitted."""

    second_service: str | None = None
    rule: str | None = None
    live_url: str | None = None
    test_ports: tuple[int, int] = (8443, 8444)
    distribution: str | None = None
    repository: str | None = None
    lease_table: str | None = None
    smoke_users_secret: str | None = None
    signing_key_secret: str | None = None
    signing_public_key_secret: str | None = None


@dataclass(frozen=True)
class Request:
    """The estate to adopt; ``cluster`` is None on App Runner."""

    environment: str
    service: str
    cluster: str | None
    account: str
    region: str
    given: Given = field(default_factory=Given)

    @property
    def colour(self) -> Colour:
        """The colour of the existing service: green if its name has that word, else blue."""
        return Colour.GREEN if re.search(r"(?<![A-Za-z])green(?![A-Za-z])", self.service) else Colour.BLUE

    @property
    def second(self) -> str:
        """The name of the second service."""
        if self.given.second_service is not None:
            return self.given.second_service
        word = rf"(?<![A-Za-z]){self.colour}(?![A-Za-z])"
        replaced = re.sub(word, str(self.colour.other), self.service)
        return replaced if replaced != self.service else f"{self.service}-{self.colour.other}"

    @property
    def name(self) -> str:
        """The beginning of the names of the parts that Terraform makes."""
        plain = re.sub(r"[^a-z0-9-]+", "-", f"{self.environment}-{self.service}".lower())
        return plain[:_LONGEST_NAME].strip("-")

    @property
    def prefix(self) -> str:
        """The beginning of the names of the secrets."""
        return f"{self.environment}/{self.service}"

    @property
    def lease_table(self) -> str:
        """The name of the lock's table."""
        return self.given.lease_table or f"{self.name}-deploy-state"

    @property
    def audit_bucket(self) -> str:
        """The name of the bucket for evidence."""
        return f"{self.name}-audit-{self.account}"

    @property
    def smoke_users_secret(self) -> str:
        """The name or ARN of the secret with the smoke users."""
        return self.given.smoke_users_secret or f"{self.prefix}/smoke-users"

    @property
    def signing_key_secret(self) -> str:
        """The name or ARN of the secret with the signing key."""
        return self.given.signing_key_secret or f"{self.prefix}/signing-key"

    @property
    def signing_public_key_secret(self) -> str:
        """The name or ARN of the secret with the public half of the signing key."""
        return self.given.signing_public_key_secret or f"{self.prefix}/signing-public-key"

    def by_colour(self, existing: Any, second: Any) -> Mapping[str, Any]:
        """Return a table with a value for each colour, blue first."""
        values = {self.colour: existing, self.colour.other: second}
        return {str(colour): values[colour] for colour in Colour}


@dataclass(frozen=True)
class Finding:
    """A part that blue/green needs: a module makes it, or a person changes it at the place that owns it."""

    part: str
    found: str
    modules: Sequence[Module] = ()
    change: str | None = None


@dataclass(frozen=True)
class Adoption:
    """The result: the estate in one line, the missing parts, and the settings; ``settings`` is None if a key's value is not known yet."""

    found: str
    findings: Sequence[Finding]
    settings: Mapping[str, Any] | None
    notes: Sequence[str] = ()
    variables: Sequence[Variable] = ()
