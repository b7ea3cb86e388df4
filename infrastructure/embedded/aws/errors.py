"""Refusals as AWS makes them.

AwsError             what goes to the caller: an error code of the service's model, a message, an HTTP status
DeploymentFailed     a revision could not be brought up: the operation fails, the caller sees it in ListOperations
"""

from __future__ import annotations

MESSAGE_LIMIT = 600
"""App Runner's model: ErrorMessage has at most 600 characters."""


class AwsError(Exception):
    """A refusal with AWS's error code; boto3 turns it into the exception of that name."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        self.code = code
        self.message = message[:MESSAGE_LIMIT]
        self.status = status
        super().__init__(f"{code}: {self.message}")


class DeploymentFailed(Exception):
    """Why a revision did not come up: one sentence, fit for the deployment's log."""


def invalid_request(message: str) -> AwsError:
    """App Runner: the request itself is wrong."""
    return AwsError("InvalidRequestException", message)


def invalid_state(message: str) -> AwsError:
    """App Runner: the service's status does not allow it."""
    return AwsError("InvalidStateException", message)


def not_found(message: str, status: int = 400) -> AwsError:
    """There is no such resource; App Runner says so with 400, the key value store with 404."""
    return AwsError("ResourceNotFoundException", message, status)


def unknown_operation(message: str) -> AwsError:
    """No such operation, or none that this endpoint answers."""
    return AwsError("UnknownOperationException", message)
