"""The names of an environment's resources, the same on both platforms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

COLOURS = ("blue", "green")
FIRST_COLOUR = "blue"


@dataclass(frozen=True)
class Names:
    """Names that begin with the same prefix."""

    prefix: str

    @property
    def services(self) -> Mapping[str, str]:
        """The service of each colour."""
        return {colour: f"{self.prefix}-api-{colour}" for colour in COLOURS}

    @property
    def lease_table(self) -> str:
        """The DynamoDB table of lease and fence."""
        return f"{self.prefix}-deploy-state"

    @property
    def audit_bucket(self) -> str:
        """The bucket of the audit store."""
        return f"{self.prefix}-audit"

    @property
    def topic(self) -> str:
        """The topic of the deployments' messages, and the queue that receives them."""
        return f"{self.prefix}-deployments"
