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
"""AWS refuses signatures from about this offset on; its limit is five minutes."""

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


def clock_difference(ahead: float) -> str:
    """Return the difference as text, such as ``17 s ahead of``; the caller appends the other clock."""
    return f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'}"


class StsIdentity:
    """Asks STS who the caller is; it does not judge whether the account is the right one."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def caller(self) -> Caller:
        """Return the caller's identity. Raises CloudError."""
        return self.caller_and_clock()[0]

    def caller_and_clock(self) -> tuple[Caller, float]:
        """Return the caller, and the seconds by which this machine's clock is ahead of AWS's (0 if unknown).

        Raises CloudError. AWS refuses the signatures of a machine whose clock is wrong; the error then says by how much.
        """
        before = datetime.now(UTC)
        try:
            answer = self._clients.call("sts", "GetCallerIdentity")
        except CloudDenied as error:
            ahead = ahead_s(aws_answer(error), before, datetime.now(UTC))
            if abs(ahead) < WRONG_CLOCK_S:
                raise
            raise CloudDenied(
                f"{error.message}; this machine's clock is {clock_difference(ahead)} AWS's",
                hint="Set the clock (NTP): AWS refuses signatures that are more than five minutes off.",
            ) from error
        caller = Caller(answer["Arn"], answer["Account"], self._clients.expire_at())
        return caller, ahead_s(answer, before, datetime.now(UTC))

    def session_of(self, role_arn: str, name: str) -> tuple[str, str, str]:
        """Assume a role; return its access key, secret key and session token. Raises CloudError."""
        keys = self._clients.call("sts", "AssumeRole", RoleArn=role_arn, RoleSessionName=name)["Credentials"]
        return keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"]
