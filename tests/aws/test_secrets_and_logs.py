"""Secrets are read and never shown; logs are the newest lines, in order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from deployment.errors import CloudError, NotFound
from infrastructure.aws.identity.caller import StsIdentity
from infrastructure.aws.logs import newest_lines
from infrastructure.aws.secretsmanager import SecretsManager
from infrastructure.aws.session import Clients


def test_secret_is_read_by_name_and_by_arn(clients: Clients) -> None:
    name = f"smoke-{uuid4().hex}"
    arn = clients.call("secretsmanager", "CreateSecret", Name=name, SecretString="canary")["ARN"]
    secrets = SecretsManager(clients)
    assert secrets.read(name) == secrets.read(arn) == "canary"


def test_missing_secret_is_not_found(clients: Clients) -> None:
    with pytest.raises(NotFound, match="secretsmanager GetSecretValue: ResourceNotFoundException"):
        SecretsManager(clients).read("no-such-secret")


def test_binary_secret_is_an_error_without_its_value(clients: Clients) -> None:
    name = f"binary-{uuid4().hex}"
    clients.call("secretsmanager", "CreateSecret", Name=name, SecretBinary=b"canary")
    with pytest.raises(CloudError) as caught:
        SecretsManager(clients).read(name)
    assert "canary" not in str(caught.value)
    assert name in str(caught.value)


def test_identity_is_read(clients: Clients) -> None:
    caller = StsIdentity(clients).caller()
    assert caller.account == "123456789012"
    assert caller.arn.startswith("arn:aws:")


def test_newest_lines_of_all_groups_in_order(clients: Clients) -> None:
    stem = f"/aws/apprunner/api/{uuid4().hex}"
    began = datetime.now(UTC) - timedelta(minutes=5)
    start = int(began.timestamp() * 1000)
    for group, numbers in (("service", range(0, 40, 2)), ("application", range(1, 40, 2))):
        clients.call("logs", "CreateLogGroup", logGroupName=f"{stem}/{group}")
        clients.call("logs", "CreateLogStream", logGroupName=f"{stem}/{group}", logStreamName="s")
        events = [{"timestamp": start + number, "message": f"line {number}\n"} for number in numbers]
        clients.call("logs", "PutLogEvents", logGroupName=f"{stem}/{group}", logStreamName="s", logEvents=events)
    groups = {"service": f"{stem}/service", "app": f"{stem}/application", "gone": f"{stem}/gone"}
    lines = newest_lines(clients, groups, began - timedelta(seconds=1), 5)
    assert [line.split(" ", 1)[1] for line in lines] == [
        "app: line 35",
        "service: line 36",
        "app: line 37",
        "service: line 38",
        "app: line 39",
    ]
    assert newest_lines(clients, groups, began + timedelta(seconds=1), 5) == []


def test_missing_group_has_no_lines(clients: Clients) -> None:
    assert newest_lines(clients, {"app": "/aws/apprunner/none"}, datetime.now(UTC), 10) == []
