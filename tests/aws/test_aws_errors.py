"""Every foreign error maps to one of ours, by class and code, and no message contains a secret."""

from __future__ import annotations

import inspect

import boto3.exceptions
import botocore.exceptions
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ReadTimeoutError

from deployment.errors import CloudDenied, CloudError, CloudUnreachable, DeploymentError, NotFound, SettingsError
from infrastructure.aws.errors import BY_CLASS, aws_code, aws_errors


def foreign() -> list[type[Exception]]:
    found = [
        each
        for module in (botocore.exceptions, boto3.exceptions)
        for _, each in inspect.getmembers(module, inspect.isclass)
        if issubclass(each, Exception) and not issubclass(each, (Warning, ClientError))
    ]
    assert len(found) > 90
    return [each for each in found if each is not botocore.exceptions.BotoCoreError]


@pytest.mark.parametrize("each", foreign(), ids=lambda each: each.__name__)
def test_every_foreign_class_is_mapped(each: type[Exception]) -> None:
    assert any(base in BY_CLASS for base in each.__mro__), f"{each} is missing in infrastructure/aws/errors.py"


def answer(code: str, status: int, text: str = "canary") -> ClientError:
    meta = {"HTTPStatusCode": status, "RequestId": "r-1"}
    return ClientError({"Error": {"Code": code, "Message": text}, "ResponseMetadata": meta}, "GetSecretValue")


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (answer("AccessDeniedException", 400), CloudDenied),
        (answer("ExpiredToken", 403), CloudDenied),
        (answer("SomethingNew", 403), CloudDenied),
        (answer("ResourceNotFoundException", 400), NotFound),
        (answer("404", 404), NotFound),
        (answer("ThrottlingException", 400), CloudUnreachable),
        (answer("500", 500), CloudUnreachable),
        (answer("ConflictException", 409), CloudError),
        (NoCredentialsError(), CloudDenied),
        (EndpointConnectionError(endpoint_url="http://x"), CloudUnreachable),
        (ReadTimeoutError(endpoint_url="http://x"), CloudUnreachable),
        (botocore.exceptions.ProfileNotFound(profile="p"), SettingsError),
        (botocore.exceptions.MissingDependencyException(msg="m"), SettingsError),
        (botocore.exceptions.ParamValidationError(report="canary"), CloudError),
    ],
)
def test_foreign_errors_become_ours(error: Exception, ours: type[DeploymentError]) -> None:
    with pytest.raises(DeploymentError) as caught, aws_errors("secretsmanager", "GetSecretValue"):
        raise error
    assert type(caught.value) is ours
    assert caught.value.__cause__ is error
    assert caught.value.message.startswith("secretsmanager GetSecretValue: ")


@pytest.mark.parametrize("error", [answer("SignatureDoesNotMatch", 403), answer("ConflictException", 409)])
def test_aws_code_is_shown_but_not_its_text(error: ClientError) -> None:
    with pytest.raises(CloudError) as caught, aws_errors("sts", "GetCallerIdentity"):
        raise error
    assert "canary" not in str(caught.value)
    assert aws_code(caught.value) in str(caught.value)
    assert "r-1" in str(caught.value)


def test_other_errors_pass_untouched() -> None:
    with pytest.raises(KeyError), aws_errors("sts", "GetCallerIdentity"):
        raise KeyError("ours")
