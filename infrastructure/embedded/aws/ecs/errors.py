"""ECS's own errors."""

from __future__ import annotations

from infrastructure.embedded.aws.errors import AwsError


def client(message: str) -> AwsError:
    """Return the error for a request that cannot be met."""
    return AwsError("ClientException", message)


def invalid(message: str) -> AwsError:
    """Return the error for a wrong parameter value."""
    return AwsError("InvalidParameterException", message)


def cluster_not_found() -> AwsError:
    """Return the error for an unknown cluster."""
    return AwsError("ClusterNotFoundException", "Cluster not found.")


def service_not_found() -> AwsError:
    """Return the error for an unknown service."""
    return AwsError("ServiceNotFoundException", "Service not found.")
