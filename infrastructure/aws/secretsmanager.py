"""Credentials, from Secrets Manager."""

from __future__ import annotations

from deployment.errors import CloudError
from infrastructure.aws.session import Clients


class SecretsManager:
    """The Secrets port; values are handed on and never kept."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def read(self, name: str) -> str:
        """The current value of a secret, by name or ARN. Raises NotFound, CloudDenied, CloudError; none tells a value."""
        answer = self._clients.call("secretsmanager", "GetSecretValue", SecretId=name)
        value = answer.get("SecretString")
        if value is None:
            raise CloudError(f"secretsmanager GetSecretValue: secret {name} is binary, text is needed")
        return str(value)
