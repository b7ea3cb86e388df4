"""ECS's own refusals."""

from __future__ import annotations

from infrastructure.embedded.aws.errors import AwsError


def client(message: str) -> AwsError:
    """The request cannot be met."""
    return AwsError("ClientException", message)


def invalid(message: str) -> AwsError:
    """A parameter's value is wrong."""
    return AwsError("InvalidParameterException", message)


def cluster_not_found() -> AwsError:
    """There is no such cluster."""
    return AwsError("ClusterNotFoundException", "Cluster not found.")


def service_not_found() -> AwsError:
    """There is no such service."""
    return AwsError("ServiceNotFoundException", "Service not found.")
