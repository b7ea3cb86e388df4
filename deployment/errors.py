"""What can go wrong in a deployment, as one tree.

DeploymentError
├── Refused                  nothing was touched; exit code 4
│   ├── SettingsError        deployment.toml, or an option, says what cannot be
│   ├── UnknownTag           no such release
│   ├── TargetIsLive         the target colour takes the traffic
│   ├── LeaseHeld            another deployment is under way
│   ├── EnvironmentTaken     the environment is that of another run alone
│   └── NotPermitted         this caller may not
├── CloudError               AWS answered with an error, or did not answer
│   ├── CloudUnreachable     no answer, after retries
│   ├── CloudDenied          credentials or rights are missing
│   ├── NotFound             what was asked for does not exist
│   └── StoredOtherwise      the audit store has other content under that name
├── StepFailed               a step did what it could and did not succeed
│   ├── ProvisionFailed      the platform could not bring the release up
│   ├── SwitchFailed         traffic did not move, or it cannot be told where it is
│   └── DeadlinePassed       a wait reached its limit
├── RouteConflict            somebody else changed the routes since they were read
├── LeaseLost                the lease ran out or was taken over: this run may not act any more
├── JournalBroken            the journal cannot be read, or its chain does not hold
└── NoKey                    there is no key to sign or to check a signature with, or it cannot be used
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deployment.model import Holder


class DeploymentError(Exception):
    """Something that ends or refuses a deployment, in words for a person.

    ``hint`` is what to type or do next; it is shown on a line of its own.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n  {self.hint}"


class Refused(DeploymentError):
    """The deployment was refused before anything was touched (exit code 4); ``where`` names the step or gate concerned."""

    def __init__(self, message: str, *, hint: str | None = None, where: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.where = where


class SettingsError(Refused):
    """``deployment.toml`` or an option says what cannot be."""


class UnknownTag(Refused):
    """The registry has no release of that tag; the message lists those it has."""


class TargetIsLive(Refused):
    """The target colour takes the traffic, so nothing may be deployed to it."""


class NotPermitted(Refused):
    """The caller may not do this."""


class LeaseHeld(Refused):
    """Another deployment holds the lease; ``holder`` says who, where and since when."""

    def __init__(self, holder: Holder) -> None:
        self.holder = holder
        super().__init__(
            f"deployment {holder.deployment_id} of {holder.actor} holds the lock "
            f"(host {holder.host}, pid {holder.pid}, since {holder.since:%Y-%m-%d %H:%M:%S} UTC, doing: {holder.doing})",
            hint="Wait for it to end (--wait-for-lock SECONDS does); `python scripts/deploy.py status` shows it, "
            "`python scripts/deploy.py recover` settles it if its process is gone.",
        )


class EnvironmentTaken(Refused):
    """The environment was started by another run for itself alone, and ends with it; the message names the run."""


class CloudError(DeploymentError):
    """AWS answered with an error; the message names the call and AWS's own code."""


class CloudUnreachable(CloudError):
    """AWS did not answer, or kept failing, until the retries were used up."""


class CloudDenied(CloudError):
    """Credentials are missing or expired, or the rights for this call are."""


class NotFound(CloudError):
    """What was asked for does not exist."""


class StoredOtherwise(CloudError):
    """The audit store has other content under that name, and nothing in it is ever overwritten."""


class StepFailed(DeploymentError):
    """A step did what it could, and did not succeed."""


class ProvisionFailed(StepFailed):
    """The platform could not bring the release up."""


class SwitchFailed(StepFailed):
    """Traffic did not move as asked, or it cannot be told where it goes."""


class DeadlinePassed(StepFailed):
    """A wait reached its limit."""


class RouteConflict(DeploymentError):
    """Somebody else changed the routes since they were read, so nothing was written."""


class LeaseLost(DeploymentError):
    """The lease ran out or was taken over: this run may not change anything any more."""


class JournalBroken(DeploymentError):
    """The journal cannot be read, or its chain of hashes does not hold."""


class NoKey(DeploymentError):
    """There is no key to sign with, or to check a signature with, or it cannot be used; no message ever contains one."""


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's text, or the name of its type if it has no text."""
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
