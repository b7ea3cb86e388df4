"""The endpoint's errors.

AwsError             the error response to a caller: an error code of the service's model, a message, an HTTP status
DeploymentFailed     a revision did not start: the operation fails, and the caller sees it in ListOperations
"""

from __future__ import annotations

MESSAGE_LIMIT = 600
"""App Runner's model: ErrorMessage has at most 600 characters."""


class AwsError(Exception):
    """An error with AWS's error code; boto3 raises the exception of that name."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        self.code = code
        self.message = message[:MESSAGE_LIMIT]
        self.status = status
        super().__init__(f"{code}: {self.message}")


class DeploymentFailed(Exception):
    """The reason why a revision did not start: one sentence for the deployment's log."""


def invalid_request(message: str) -> AwsError:
    """Return App Runner's error for a wrong request."""
    return AwsError("InvalidRequestException", message)


def invalid_state(message: str) -> AwsError:
    """Return App Runner's error for an action that the service's status does not allow."""
    return AwsError("InvalidStateException", message)


def not_found(message: str, status: int = 400) -> AwsError:
    """Return the error for an unknown resource; the status is 400 in App Runner and 404 in the key value store."""
    return AwsError("ResourceNotFoundException", message, status)


def unknown_operation(message: str) -> AwsError:
    """Return the error for an operation that does not exist or that this endpoint does not support."""
    return AwsError("UnknownOperationException", message)
