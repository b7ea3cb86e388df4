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
