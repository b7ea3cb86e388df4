"""Secrets by reference: their values exist only in an instance's environment, never on a disk."""

from __future__ import annotations

import json
import re
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infrastructure.embedded.aws.clients import AwsClients
from infrastructure.embedded.aws.errors import DeploymentFailed

SECRET_ARN = re.compile(r"(arn:aws:secretsmanager:[a-z0-9-]+:\d{12}:secret:[^:]+)(?::([^:]*):([^:]*):([^:]*))?")
PARAMETER_ARN = re.compile(r"arn:aws:ssm:[a-z0-9-]+:\d{12}:parameter(/.+)")


class SecretResolver:
    """Reads Secrets Manager and the parameter store."""

    def __init__(self, clients: AwsClients) -> None:
        self._clients = clients

    def resolve(self, references: dict[str, str]) -> dict[str, str]:
        """Return each variable's value for its ARN. Raises DeploymentFailed with the variable's name, never a value."""
        return {variable: self._one(variable, arn) for variable, arn in references.items()}

    def _one(self, variable: str, arn: str) -> str:
        try:
            secret = SECRET_ARN.fullmatch(arn)
            return self._secret(secret) if secret else self._parameter(arn)
        except (ClientError, BotoCoreError, KeyError, ValueError) as exc:
            reason = exc.response["Error"]["Code"] if isinstance(exc, ClientError) else type(exc).__name__
            raise DeploymentFailed(f"secret of {variable} cannot be read ({reason}): {arn}") from None

    def _secret(self, found: re.Match[str]) -> str:
        arn, key, stage, version = found.groups()
        wanted: dict[str, Any] = {"SecretId": arn}
        if stage:
            wanted["VersionStage"] = stage
        if version:
            wanted["VersionId"] = version
        value: str = self._clients.get("secretsmanager").get_secret_value(**wanted)["SecretString"]
        return str(json.loads(value)[key]) if key else value

    def _parameter(self, arn: str) -> str:
        found = PARAMETER_ARN.fullmatch(arn)
        name = found.group(1) if found else arn
        answer = self._clients.get("ssm").get_parameter(Name=name, WithDecryption=True)
        return str(answer["Parameter"]["Value"])
