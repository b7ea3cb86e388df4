"""The errors of a deployment, as one tree.

DeploymentError
├── Refused                  nothing was touched; exit code 4
│   ├── SettingsError        deployment.toml or an option has a value that is not allowed
│   ├── UnknownTag           the registry has no such release
│   ├── TargetIsLive         the target colour takes the traffic
│   ├── LeaseHeld            another deployment is under way
│   ├── EnvironmentTaken     another run started the environment for itself alone
│   └── NotPermitted         this caller is not allowed to do this
├── CloudError               AWS answered with an error, or did not answer
│   ├── CloudUnreachable     no answer, after retries
│   ├── CloudDenied          credentials or rights are missing
│   ├── NotFound             the requested resource does not exist
│   └── StoredOtherwise      the audit store has other content under that name
├── StepFailed               a step ran and did not succeed
│   ├── ProvisionFailed      the platform could not bring the release up
│   ├── SwitchFailed         traffic did not move, or its place is unknown
│   ├── LiveIsHealthier      a rollback by hand would move traffic from a healthy colour to one that is not
│   └── DeadlinePassed       a wait reached its limit
├── RouteConflict            another writer changed the routes since they were read
├── LeaseLost                the lease expired or was taken over: this run must not act any more
├── JournalBroken            the journal cannot be read, or its hash chain is broken
├── JournalUnwritable        the journal cannot be written: the run must not go forward
└── NoKey                    no usable key to sign or to check a signature with
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deployment.model import Colour, Holder


class DeploymentError(Exception):
    """An error that ends or refuses a deployment; its message is written for a person.

    ``hint`` is what to type or do next; it is shown on a line of its own.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n  {self.hint}"


class Refused(DeploymentError):
    """The deployment was refused before anything was touched (exit code 4); ``where`` names the step or gate."""

    def __init__(self, message: str, *, hint: str | None = None, where: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.where = where


class SettingsError(Refused):
    """``deployment.toml`` or an option has a value that is not allowed."""


class UnknownTag(Refused):
    """The registry has no release with that tag; the message lists the known tags."""


class TargetIsLive(Refused):
    """The target colour takes the traffic, so nothing may be deployed to it."""

    def __init__(self, target: Colour) -> None:
        self.live = target
        super().__init__(
            f"{target} is live: a release cannot be deployed to the live colour",
            hint=f"Deploy to the idle colour: --target={target.other}, or --target=auto.",
        )


class NotPermitted(Refused):
    """The caller is not allowed to do this."""


class LeaseHeld(Refused):
    """Another deployment holds the lease; ``holder`` says who, where and since when."""

    def __init__(self, holder: Holder) -> None:
        self.holder = holder
        super().__init__(
            f"deployment {holder.deployment_id} of {holder.actor} holds the lock "
            f"(host {holder.host}, pid {holder.pid}, since {holder.since:%Y-%m-%d %H:%M:%S} UTC, doing: {holder.doing})",
            hint="Wait for it to end (--wait-for-lock SECONDS does); `python scripts/deploy.py status` shows it, "
            "`python scripts/deploy.py recover` recovers it if its process is gone.",
        )


class EnvironmentTaken(Refused):
    """Another run started the environment for itself alone and stops it when it ends; the message names that run."""


class CloudError(DeploymentError):
    """AWS answered with an error; the message names the call and AWS's own code."""


class CloudUnreachable(CloudError):
    """AWS did not answer, or kept failing, until all retries were used."""


class CloudDenied(CloudError):
    """Credentials are missing or expired, or they lack the rights for this call."""


class NotFound(CloudError):
    """The requested resource does not exist."""


class StoredOtherwise(CloudError):
    """The audit store has other content under that name, and it never overwrites anything."""


class StepFailed(DeploymentError):
    """A step ran and did not succeed."""


class ProvisionFailed(StepFailed):
    """The platform could not bring the release up."""


class SwitchFailed(StepFailed):
    """Traffic did not move as requested, or its place is unknown."""


class LiveIsHealthier(StepFailed):
    """The live colour is healthy and the colour that would get its traffic is not, so traffic was not moved."""


class DeadlinePassed(StepFailed):
    """A wait reached its limit."""


class RouteConflict(DeploymentError):
    """Another writer changed the routes since they were read, so nothing was written."""


class LeaseLost(DeploymentError):
    """The lease expired or was taken over: this run must not change anything any more."""


class JournalBroken(DeploymentError):
    """The journal cannot be read, or its hash chain is broken."""


class JournalUnwritable(DeploymentError):
    """The journal cannot be written, so nothing may be done that it would have to prove; the way back stays open."""

    def __init__(self, message: str) -> None:
        super().__init__(
            message, hint="Free space in the folder of the reports, or name another one with --reports DIR."
        )


class NoKey(DeploymentError):
    """No usable key to sign with or to check a signature with; no message ever contains a key."""


def abridged(text: str, most: int = 1000) -> str:
    """Return a text of about ``most`` characters: a longer one loses its middle, because its end may say what to write."""
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-most // 2 :]}"


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's text, or the name of its type if it has no text."""
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
