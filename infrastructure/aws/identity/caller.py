"""The caller's identity from STS, and the difference between this machine's clock and AWS's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from deployment.errors import CloudDenied
from deployment.model import Caller
from infrastructure.aws.errors import aws_answer
from infrastructure.aws.session import Clients

WRONG_CLOCK_S = 240.0
"""From about here on AWS refuses signatures: more than five minutes."""

_HEADER_S = timedelta(seconds=1)
"""A Date header leaves out the fraction of its second."""


def ahead_s(answer: Mapping[str, Any], before: datetime, after: datetime) -> float:
    """Return the seconds by which this machine's clock is at least ahead of AWS's (negative: behind).

    AWS's time is the Date header of ``answer``; ``before`` and ``after`` are this machine's times around the call.
    Returns 0 if AWS's time lies between them, or if the answer has no usable Date header.
    """
    header = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        theirs = parsedate_to_datetime(header)
    except (TypeError, ValueError):
        return 0.0
    if theirs.tzinfo is None:
        return 0.0
    if before > theirs + _HEADER_S:
        return (before - theirs - _HEADER_S).total_seconds()
    return min(0.0, (after - theirs).total_seconds())


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
