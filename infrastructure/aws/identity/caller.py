"""Who the credentials in use belong to, from STS."""

from __future__ import annotations

from datetime import UTC, datetime

from deployment.errors import CloudDenied
from deployment.model import Caller
from infrastructure.aws.errors import aws_answer
from infrastructure.aws.identity.clock import ahead_s
from infrastructure.aws.session import Clients

WRONG_CLOCK_S = 240.0
"""From about here on AWS refuses signatures: more than five minutes."""


def clock_in_words(ahead: float) -> str:
    """``17 s ahead of``, to be followed by whose clock it is compared with."""
    return f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'}"


class StsIdentity:
    """The Identity port; whether the account is the right one is for its user to judge."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def caller(self) -> Caller:
        """Asks for the caller's identity; raises CloudError."""
        return self.caller_and_clock()[0]

    def caller_and_clock(self) -> tuple[Caller, float]:
        """The caller, and by how many seconds this machine's clock is ahead of AWS's (0: not known to be); raises CloudError.

        A signature of a wrong clock is refused by AWS: the error then says so.
        """
        before = datetime.now(UTC)
        try:
            answer = self._clients.call("sts", "GetCallerIdentity")
        except CloudDenied as error:
            ahead = ahead_s(aws_answer(error), before, datetime.now(UTC))
            if abs(ahead) < WRONG_CLOCK_S:
                raise
            raise CloudDenied(
                f"{error.message}; this machine's clock is {clock_in_words(ahead)} AWS's",
                hint="Set the clock (NTP): AWS refuses signatures that are more than five minutes off.",
            ) from error
        caller = Caller(arn=answer["Arn"], account=answer["Account"])
        return caller, ahead_s(answer, before, datetime.now(UTC))

    def session_of(self, role_arn: str, name: str) -> tuple[str, str, str]:
        """Assumes a role; returns access key, secret key and session token. Raises CloudError."""
        keys = self._clients.call("sts", "AssumeRole", RoleArn=role_arn, RoleSessionName=name)["Credentials"]
        return keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"]
