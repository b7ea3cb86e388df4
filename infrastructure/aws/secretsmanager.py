"""Credentials, from Secrets Manager."""

from __future__ import annotations

from deployment.errors import CloudError, NotFound
from infrastructure.aws.session import Clients

_SECRET_ARN_PARTS = 7
"""The parts of ``arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME``; a JSON key, a stage and a version may follow."""


class SecretsManager:
    """The Secrets and Vault ports; values are passed on and never kept."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def read(self, name: str) -> str:
        """Return a secret's current value, by name or ARN. Raises NotFound, CloudDenied, CloudError; none contains a value."""
        answer = self._clients.call("secretsmanager", "GetSecretValue", SecretId=name)
        value = answer.get("SecretString")
        if value is None:
            raise CloudError(f"secretsmanager GetSecretValue: secret {name} is binary; it must be text (SecretString)")
        return str(value)

    def obstacle(self, name: str) -> str | None:
        """Return why a secret cannot be used, without reading its value; None if it can.

        Raises CloudError, also if the name is an ARN of another service.
        """
        parts = name.split(":")
        if parts[0] == "arn" and parts[2] != "secretsmanager":
            raise CloudError(f"{name} is kept by {parts[2]}, not by Secrets Manager")
        try:
            found = self._clients.call("secretsmanager", "DescribeSecret", SecretId=":".join(parts[:_SECRET_ARN_PARTS]))
        except NotFound:
            return "does not exist"
        if found.get("DeletedDate"):
            return "is about to be deleted"
        stages = [stage for stages in found.get("VersionIdsToStages", {}).values() for stage in stages]
        return None if "AWSCURRENT" in stages else "has no current value"
