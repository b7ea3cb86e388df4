"""The push target: a user, a password that no message shows, and the host."""

from __future__ import annotations

import base64

import pytest
from botocore.stub import Stubber

from deployment.errors import CloudError
from infrastructure.aws.registry.push import EcrPushTarget
from infrastructure.aws.session import Clients, Connection, Credentials, clients_for
from tests.aws.conftest import ACCOUNT, REGION


def test_credentials_for_the_accounts_registry(clients: Clients) -> None:
    target = EcrPushTarget(clients, "telehealth-api", ACCOUNT, REGION)
    user, password = target.credentials()
    assert user == "AWS"
    assert password
    assert target.host == f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"


@pytest.mark.parametrize(
    "token", ["", "not base64!", base64.b64encode(b"AWS:").decode(), base64.b64encode(b"\xff").decode()]
)
def test_answer_without_a_valid_token_is_an_error(token: str) -> None:
    offline = clients_for(Connection(REGION, ACCOUNT, credentials=Credentials("key", "secret")))
    with Stubber(offline.client("ecr")) as stubber:
        stubber.add_response("get_authorization_token", {"authorizationData": [{"authorizationToken": token}]})
        with pytest.raises(CloudError, match="contains no valid token"):
            EcrPushTarget(offline, "telehealth-api", ACCOUNT, REGION).credentials()
