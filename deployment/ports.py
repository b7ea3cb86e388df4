"""What a deployment needs from the world, as small protocols; one implementation is one file under ``infrastructure/aws``.

Every implementation raises the errors of ``deployment.errors`` only, and each of its waits has a deadline of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from deployment.model import (
    Alarm,
    Answer,
    Caller,
    Colour,
    Configuration,
    DomainState,
    Holder,
    Image,
    Notice,
    Progress,
    Quota,
    Rights,
    Rollout,
    Routes,
    Scan,
    Service,
)


class Clock(Protocol):
    """Time, so that tests need not wait for it."""

    def now(self) -> datetime:
        """The time of day, with time zone UTC."""

    def monotonic(self) -> float:
        """Seconds that never run backwards."""

    def sleep(self, seconds: float) -> None:
        """Lets ``seconds`` pass."""


class Registry(Protocol):
    """Where releases are kept."""

    def resolve(self, tag: str) -> Image:
        """Turns a tag into its image, once; raises UnknownTag with the known ones, highest SemVer last."""

    def find(self, digest: str) -> Image | None:
        """The image of a digest, under its highest tag; None where the registry does not have it any more."""

    def tags(self) -> Sequence[str]:
        """Every tag, in SemVer precedence, the others after them."""


class Platform(Protocol):
    """What runs a release on a colour."""

    def describe(self, colour: Colour) -> Service:
        """What is configured and what runs, now; never raises NotFound (a service that does not exist is status 'ABSENT')."""

    def configured(self, colour: Colour) -> Configuration | None:
        """What is configured for the colour besides its image; None where the service does not exist."""

    def provision(self, colour: Colour, image: Image) -> Rollout:
        """Starts bringing ``image`` up on ``colour`` and returns at once; safe to repeat. Raises ProvisionFailed."""

    def progress(self, rollout: Rollout) -> Progress:
        """READY only when that very operation succeeded and the wanted digest is configured and running."""

    def scale(self, colour: Colour) -> None:
        """Starts making a colour as large as the other one, where it is smaller, and returns at once; safe to repeat.

        ``describe`` calls it unwell until it is. Nothing to do where a platform's colours are always of one size.
        """

    def retire(self, colour: Colour) -> Rollout | None:
        """Starts stopping a colour, None where nothing runs; safe to repeat. While ``busy``, returns the operation to wait for."""

    def stopped(self, colour: Colour) -> Progress:
        """READY when nothing of the colour runs any more."""

    def logs(self, colour: Colour, since: datetime, limit: int = 200) -> Sequence[str]:
        """The colour's newest log lines since then (service events and application), oldest first; empty where there are none."""


class Router(Protocol):
    """What decides which colour a viewer reaches."""

    def observe(self) -> Routes:
        """Reads the routes as they are."""

    def set(self, seen: Routes, weights: Mapping[Colour, int], origins: Mapping[Colour, str], token: int) -> Routes:
        """Writes new weights, if nothing changed since ``seen``; returns what was written.

        Raises RouteConflict where the routes are no longer ``seen`` (nothing was written), LeaseLost where a later fencing
        token than ``token`` has written already, SwitchFailed where it cannot be told whether the write took effect.
        ``origins`` are the colours' own hosts; those not named keep theirs.
        """

    def spread(self, live: Colour, generation: int) -> Progress:
        """READY once what was written has reached every place that the router itself can ask; it is never STUCK."""


class Lease(Protocol):
    """Who may act: one holder at a time, a fencing token that grows, and notes that outlive the holder's disk."""

    def acquire(self, holder: Holder, *, take_over: int | None = None) -> Holder:
        """Takes the lease; returns the holder with its fencing token. Raises LeaseHeld.

        ``take_over`` is the token of a holder known to be dead, whose unexpired lease may be taken.
        """

    def renew(self, holder: Holder) -> Holder:
        """Extends the lease by its time to live. Raises LeaseLost."""

    def check(self, holder: Holder) -> None:
        """Raises LeaseLost unless this holder still holds an unexpired lease, right now, read consistently."""

    def release(self, holder: Holder) -> None:
        """Gives the lease back; nothing happens if it was lost. Notes stay."""

    def current(self) -> Holder | None:
        """The holder, expired or not; None where it was given back."""

    def note(self, holder: Holder, notes: Mapping[str, str | None]) -> None:
        """Writes (or, with None, removes) notes beside the lease in one write. Raises LeaseLost unless held by ``holder``."""

    def notes(self) -> Mapping[str, str]:
        """The notes, whoever wrote them."""

    def swap_note(self, name: str, seen: str | None, text: str) -> bool:
        """Replaces one note if it still is what was ``seen`` (None: absent), and says whether it did; needs no lease."""


class Secrets(Protocol):
    """Where credentials are kept."""

    def read(self, name: str) -> str:
        """The secret's current value. Raises NotFound or CloudDenied; no message ever contains a value."""


class Vault(Protocol):
    """Whether secrets are there, without their values."""

    def obstacle(self, name: str) -> str | None:
        """What keeps a secret from being used ("does not exist"), None where nothing does. Raises CloudError."""


class AuditStore(Protocol):
    """Where evidence is kept out of reach of whoever ran a deployment; nothing in it is ever overwritten."""

    def put(self, name: str, content: bytes) -> None:
        """Keeps ``content``; safe to repeat. Raises StoredOtherwise where other content is there already, CloudError."""

    def get(self, name: str) -> bytes | None:
        """What is kept under that name, None where nothing is. Raises CloudError."""


class Permissions(Protocol):
    """What AWS itself would let a caller do."""

    def missing(self, caller: Caller, duties: Sequence[str], target: Colour | None = None) -> Rights:
        """Asks for all that the duties need, and does nothing of it. Never raises: what cannot be asked is ``unchecked``.

        ``target``: the colour that is changed, while the other one is only looked at; None: either may be.
        """


class PushTarget(Protocol):
    """How images get into the registry; ``host`` is where they are pushed to."""

    host: str
    repository: str

    def credentials(self) -> tuple[str, str]:
        """User and password for the host, for a while. Raises CloudError."""


class Scans(Protocol):
    """What is known about the weaknesses of images."""

    def of(self, digest: str) -> Scan:
        """The newest scan of an image. Raises CloudError."""


class Quotas(Protocol):
    """How much of what AWS grants is used."""

    def measured(self) -> Sequence[Quota]:
        """Every quota that concerns the estate and whose use AWS measures. Raises CloudError."""


class Domain(Protocol):
    """The live domain, before anything is asked of the service behind it."""

    def observe(self) -> DomainState:
        """Resolves it and, for https, shakes hands with it. Raises CloudUnreachable where either fails."""


class Notifier(Protocol):
    """How the team hears of a deployment."""

    def send(self, notice: Notice) -> None:
        """Hands the message on; who then gets it is the channel's affair. Raises CloudError."""


class Alarms(Protocol):
    """What else watches the service: alarms of metrics, composite ones, health checks."""

    def read(self, colour: Colour) -> Sequence[Alarm]:
        """Every alarm that has to be quiet while ``colour`` is live, each as it is now, ABSENT ones included. Raises CloudError."""


class FrontDoor(Protocol):
    """The service as its users see it: through the live domain, or a colour at its own address."""

    def ask(self, times: int, url: str | None = None) -> Sequence[Answer]:
        """Asks the health path (of the live domain, or at ``url``), each time on a fresh connection, never retrying."""

    def examine(self, url: str | None = None) -> Sequence[str]:
        """Asks for health, database, Redis, and as a user who signs in, books, reads, lists, cancels and signs out.

        Returns what is wrong, the first of it at least; empty where all is well.
        """


class NoAlarms:
    """The alarms of an environment that has none."""

    def read(self, colour: Colour) -> Sequence[Alarm]:  # noqa: ARG002  # the port's signature
        """Return no alarm."""
        return ()


NO_ALARMS = NoAlarms()
