"""Who the credentials in use belong to, from STS."""

from __future__ import annotations

from deployment.model import Caller
from infrastructure.aws.session import Clients


class StsIdentity:
    """The Identity port; whether the account is the right one is for its user to judge."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def caller(self) -> Caller:
        """Asks for the caller's identity; raises CloudError."""
        answer = self._clients.call("sts", "GetCallerIdentity")
        return Caller(arn=answer["Arn"], account=answer["Account"])

    def session_of(self, role_arn: str, name: str) -> tuple[str, str, str]:
        """Assumes a role; returns access key, secret key and session token. Raises CloudError."""
        keys = self._clients.call("sts", "AssumeRole", RoleArn=role_arn, RoleSessionName=name)["Credentials"]
        return keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"]
