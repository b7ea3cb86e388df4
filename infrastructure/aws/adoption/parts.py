"""The parts of an estate that every platform needs: the lock's table, the secrets, the repository, the bucket for evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infrastructure.aws.adoption.reader import Reader


@dataclass(frozen=True)
class Secret:
    """A secret: its ARN, or None if it does not exist, and whether a value was put in; ``deleted``: it waits for its deletion."""

    arn: str | None
    has_value: bool
    deleted: bool = False


def secret(reader: Reader, name: str) -> Secret:
    """Return the state of a secret by name or ARN; no value is read. Raises NotPermitted, CloudError."""
    found = reader.find("secretsmanager", "DescribeSecret", SecretId=name)
    if found is None or found.get("DeletedDate"):
        return Secret(None, has_value=False, deleted=found is not None)
    stages = [stage for stages in found.get("VersionIdsToStages", {}).values() for stage in stages]
    return Secret(str(found["ARN"]), "AWSCURRENT" in stages)


def table_exists(reader: Reader, name: str) -> bool:
    """Return whether a table of DynamoDB exists. Raises NotPermitted, CloudError."""
    return reader.find("dynamodb", "DescribeTable", TableName=name) is not None


def bucket_exists(reader: Reader, name: str) -> bool:
    """Return whether a bucket exists. Raises NotPermitted, CloudError."""
    return reader.find("s3", "HeadBucket", Bucket=name) is not None


def repository(reader: Reader, name: str) -> Mapping[str, Any] | None:
    """Return a repository of the account's registry; None if it does not exist. Raises NotPermitted, CloudError."""
    found = reader.find("ecr", "DescribeRepositories", repositoryNames=[name])
    repositories = found.get("repositories", ()) if found else ()
    return repositories[0] if repositories else None
