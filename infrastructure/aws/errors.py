"""The errors of botocore and boto3 mapped to the project's own: by class and by AWS's code, never by text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3.exceptions as b3
import botocore.exceptions as bc
from botocore.parsers import ResponseParserError

from deployment.errors import CloudDenied, CloudError, CloudUnreachable, DeploymentError, NotFound, SettingsError

_UNREACHABLE: tuple[type[Exception], ...] = (bc.ConnectionError, bc.HTTPClientError, bc.IncompleteReadError)

_DENIED: tuple[type[Exception], ...] = (
    bc.NoCredentialsError,
    bc.PartialCredentialsError,
    bc.CredentialRetrievalError,
    bc.UnknownCredentialError,
    bc.MetadataRetrievalError,
    bc.RefreshWithMFAUnsupportedError,
    bc.NoAuthTokenError,
    bc.TokenRetrievalError,
    bc.UnknownTokenProviderError,
    bc.SSOError,
    bc.LoginError,
)

_SETTINGS: tuple[type[Exception], ...] = (
    bc.ProfileNotFound,
    bc.ConfigNotFound,
    bc.ConfigParseError,
    bc.InvalidConfigError,
    bc.InvalidRetryConfigurationError,
    bc.InvalidDefaultsMode,
    bc.InvalidProxiesConfigError,
    bc.InvalidSTSRegionalEndpointsConfigError,
    bc.InvalidEndpointConfigurationError,
    bc.InvalidEndpointDiscoveryConfigurationError,
    bc.InvalidIMDSEndpointError,
    bc.InvalidIMDSEndpointModeError,
    bc.InvalidChecksumConfigError,
    bc.InvalidRegionError,
    bc.UnknownRegionError,
    bc.ServiceNotInRegionError,
    bc.BaseEndpointResolverError,
    bc.EndpointProviderError,
    bc.UnknownEndpointResolutionBuiltInName,
    bc.MissingDependencyException,
)

# A malformed call or an unusable answer: other settings, permissions or waiting would not help.
_OTHER: tuple[type[Exception], ...] = (
    bc.ApiVersionNotFoundError,
    bc.AwsChunkedWrapperError,
    bc.CapacityNotAvailableError,
    bc.ChecksumError,
    bc.DataNotFoundError,
    bc.FlexibleChecksumError,
    bc.InvalidDNSNameError,
    bc.InvalidExpressionError,
    bc.InvalidHostLabelError,
    bc.InvalidS3AddressingStyleError,
    bc.InvalidS3UsEast1RegionalEndpointConfigError,
    bc.MD5UnavailableError,
    bc.MissingParametersError,
    bc.OperationNotPageableError,
    bc.PaginationError,
    bc.ParamValidationError,
    bc.StubResponseError,
    bc.UndefinedModelAttributeError,
    bc.UnknownClientMethodError,
    bc.UnknownServiceStyle,
    bc.UnknownSignatureVersionError,
    bc.UnseekableStreamError,
    bc.UnsupportedOutpostResourceError,
    bc.UnsupportedS3AccesspointConfigurationError,
    bc.UnsupportedS3ArnError,
    bc.UnsupportedS3ConfigurationError,
    bc.UnsupportedS3ControlArnError,
    bc.UnsupportedS3ControlConfigurationError,
    bc.UnsupportedServiceProtocolsError,
    bc.UnsupportedSignatureVersionError,
    bc.ValidationError,
    bc.WaiterConfigError,
    bc.WaiterError,
    ResponseParserError,
    b3.Boto3Error,
    b3.ResourceNotExistsError,
    b3.UnknownAPIVersionError,
    b3.DynamoDBOperationNotSupportedError,
    b3.DynamoDBNeedsConditionError,
    b3.DynamoDBNeedsKeyConditionError,
    b3.InvalidCrtTransferConfigError,
)

NO_CREDENTIALS = (
    "Name a `profile` of your AWS configuration in this environment of deployment.toml, or set AWS_ACCESS_KEY_ID and its "
    "companions; your default profile is not read."
)

BY_CLASS: dict[type[Exception], type[DeploymentError]] = {
    **dict.fromkeys(_UNREACHABLE, CloudUnreachable),
    **dict.fromkeys(_DENIED, CloudDenied),
    **dict.fromkeys(_SETTINGS, SettingsError),
    **dict.fromkeys(_OTHER, CloudError),
}
"""Every foreign class, or the nearest of its bases; ClientError is mapped by its code instead."""


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DENIED_CODES = _codes(
    "AccessDenied AccessDeniedException AuthFailure ExpiredToken ExpiredTokenException IncompleteSignature "
    "InvalidAccessKeyId InvalidClientTokenId InvalidSignatureException InvalidToken KMSAccessDeniedException "
    "MissingAuthenticationToken MissingAuthenticationTokenException NotAuthorized OptInRequired RequestExpired "
    "SignatureDoesNotMatch UnauthorizedException UnauthorizedOperation UnrecognizedClientException"
)
_NOT_FOUND_CODES = _codes(
    "ClusterNotFoundException ImageNotFoundException ListenerNotFound LoadBalancerNotFound NoSuchChange NoSuchEntity "
    "NoSuchHostedZone NotFoundException RepositoryNotFoundException ResourceNotFoundException RuleNotFound "
    "ServiceNotFoundException TargetGroupNotFound WAFNonexistentItemException"
)
_BUSY_CODES = _codes(
    "InternalFailure InternalServerError InternalServerException InternalServiceError InternalServiceErrorException "
    "PriorRequestNotComplete ProvisionedThroughputExceededException RequestLimitExceeded RequestTimeout RequestTimeoutException ServerException "
    "ServiceUnavailable ServiceUnavailableException SlowDown Throttling ThrottlingException ThrottledException "
    "TooManyRequestsException WAFInternalErrorException"
)
# AWS's text is shown only for these codes: other texts may quote the request (a signature error quotes the session token).
_TEXT_IS_SAFE = _codes(
    "AccessDenied AccessDeniedException InvalidChangeBatch InvalidInput InvalidRequestException InvalidStateException "
    "LimitExceededException ServiceQuotaExceededException UnauthorizedOperation"
)
_TEXT_IS_SAFE_OF = {"ecs": _codes("ClientException InvalidParameterException")}
"""Codes whose text quotes the request in other services; a request to ECS holds no secret, only names of secrets."""
_LONGEST_TEXT = 300


@contextmanager
def aws_errors(service: str, operation: str) -> Iterator[None]:
    """Turn boto3's errors in the block into CloudError, one of its kinds, or SettingsError; other errors pass unchanged."""
    try:
        yield
    except bc.ClientError as error:
        raise _from_answer(service, operation, error) from error
    except RuntimeError as error:
        if type(error) is not RuntimeError:
            raise
        # botocore's answer to keys of the environment after AWS_CREDENTIAL_EXPIRATION.
        raise CloudDenied(f"{service} {operation}: the credentials have expired", hint="Sign in again.") from error
    except tuple({*BY_CLASS, bc.BotoCoreError}) as error:
        ours = next((BY_CLASS[base] for base in type(error).__mro__ if base in BY_CLASS), CloudError)
        hint = NO_CREDENTIALS if isinstance(error, bc.NoCredentialsError) else _hint(ours)
        raise ours(f"{service} {operation}: {type(error).__name__}", hint=hint) from error


def aws_code(error: BaseException) -> str:
    """Return AWS's code behind an error that ``aws_errors`` raised; empty if AWS gave none."""
    return _code(aws_answer(error))


def aws_item(error: BaseException) -> Mapping[str, Any] | None:
    """Return the item that DynamoDB sends with a failed condition; None if it sent none."""
    return aws_answer(error).get("Item")


def aws_answer(error: BaseException) -> Mapping[str, Any]:
    """Return AWS's whole answer behind an error that ``aws_errors`` raised; empty if there was none."""
    cause = error.__cause__
    return cause.response if isinstance(cause, bc.ClientError) else {}


def _code(answer: Mapping[str, Any]) -> str:
    return str(answer.get("Error", {}).get("Code", ""))


def _from_answer(service: str, operation: str, error: bc.ClientError) -> CloudError:
    code = _code(error.response)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    ours = _kind(code, status)
    text = f"{service} {operation}: {code or 'an error without a code'}"
    if code in _TEXT_IS_SAFE or code in _TEXT_IS_SAFE_OF.get(service, ()):
        text += ": " + " ".join(str(error.response["Error"].get("Message", "")).split())[:_LONGEST_TEXT]
    request = error.response.get("ResponseMetadata", {}).get("RequestId")
    return ours(f"{text} (request {request})" if request else text, hint=_hint(ours))


def _kind(code: str, status: int) -> type[CloudError]:
    if code in _DENIED_CODES:
        return CloudDenied
    if code in _NOT_FOUND_CODES:
        return NotFound
    if code in _BUSY_CODES or status >= 500 or status == 429:
        return CloudUnreachable
    if status in (401, 403):
        return CloudDenied
    return NotFound if status == 404 else CloudError


def _hint(ours: type[DeploymentError]) -> str | None:
    if ours is CloudDenied:
        return "Check the credentials in use (`aws sts get-caller-identity`) and the rights of their role."
    if ours is SettingsError:
        return "Check profile, region and ARNs of this environment in deployment.toml, and the installed requirements."
    return None
