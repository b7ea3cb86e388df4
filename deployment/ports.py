"""The interfaces that a deployment needs, as small protocols; each implementation is one file under
``infrastructure/aws``.

Every implementation raises only the errors of ``deployment.errors``, and each of its waits has a deadline of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from deployment.model import (
    Alarm,
    Answer,
    Caller,
    Colour,
    Configuration,
    Contact,
    DomainState,
    Findings,
    Holder,
    Image,
    Notice,
    Progress,
    Quota,
    ReadBack,
    Removal,
    Rights,
    Rollout,
    Routes,
    Scan,
    Service,
)


class Clock(Protocol):
    """The time, passed in so that tests need not wait."""

    def now(self) -> datetime:
        """Return the current time, with time zone UTC."""

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""

    def sleep(self, seconds: float) -> None:
        """Wait for ``seconds``."""

    def beside(self, work: Callable[[], None]) -> None:
        """Begin ``work`` beside the calling thread, which goes on at once; tests may do it in that thread."""


class Registry(Protocol):
    """The image registry that holds the releases."""

    def resolve(self, tag: str) -> Image:
        """Return the image of a tag. Raises UnknownTag with the known tags, highest SemVer last."""

    def find(self, digest: str) -> Image | None:
        """Return the image of a digest, under its highest tag; None if the registry does not have it any more."""

    def tags(self) -> Sequence[str]:
        """Return every tag: versions in SemVer precedence, then the others."""


class Platform(Protocol):
    """Runs releases, one on each colour."""

    def describe(self, colour: Colour) -> Service:
        """Return what is configured and running now.

        Never raises NotFound: a service that does not exist has status 'ABSENT'.
        """

    def configured(self, colour: Colour) -> Configuration | None:
        """Return the colour's configuration except its image; None if the service does not exist."""

    def provision(self, colour: Colour, image: Image) -> Rollout:
        """Start to bring ``image`` up on ``colour`` and return at once; safe to repeat. Raises ProvisionFailed."""

    def progress(self, rollout: Rollout) -> Progress:
        """Return READY only if exactly this operation succeeded and the wanted digest is configured and running."""

    def scale(self, colour: Colour) -> None:
        """Start to scale a colour up to the size of the other one, and return at once; safe to repeat. Never scales down.

        ``describe`` reports the colour as ``unhealthy`` until it has that size. A platform whose colours always have
        the same size does nothing.
        """

    def retire(self, colour: Colour) -> Rollout | None:
        """Start to stop a colour; return None if nothing runs.

        Safe to repeat; while ``busy``, returns the operation to wait for.
        """

    def stopped(self, colour: Colour) -> Progress:
        """Return READY if nothing of the colour runs any more."""

    def logs(self, colour: Colour, since: datetime, limit: int = 200) -> Sequence[str]:
        """Return the colour's newest log lines since then (service events and application), oldest first.

        An empty list if it has none.
        """


class Router(Protocol):
    """Decides which colour each request reaches."""

    @property
    def settling_s(self) -> float:
        """Return for how long after a write requests may still reach the colour that lost the traffic, in seconds.

        0 if the router follows at once, or if the platform itself proves that a colour has no requests any more.
        """

    def observe(self) -> Routes:
        """Read the current routes."""

    def set(self, seen: Routes, weights: Mapping[Colour, int], origins: Mapping[Colour, str], token: int) -> Routes:
        """Write new weights if nothing changed since ``seen``; return the routes that were written.

        Raises RouteConflict if the routes are not ``seen`` any more (nothing was written), LeaseLost if a fencing token
        later than ``token`` has written already, SwitchFailed if it is unknown whether the write took effect.
        ``origins`` are the colours' own hosts; a colour that is not named keeps its host.
        """

    def spread(self, live: Colour, generation: int) -> Progress:
        """Return READY once the written routes have reached every place that the router itself can ask; never STUCK."""


class Lease(Protocol):
    """The right to act: one holder at a time, a fencing token that grows, and notes that outlive the holder's disk."""

    def acquire(self, holder: Holder, *, take_over: int | None = None) -> Holder:
        """Take the lease; return the holder with its fencing token. Raises LeaseHeld.

        ``take_over`` is the token of a holder whose process is dead; its lease may be taken before it expires.
        """

    def renew(self, holder: Holder) -> Holder:
        """Extend the lease by its time to live, also if it has expired and no other holder took it since.

        Each try is short: the caller tries again. Raises LeaseLost.
        """

    def check(self, holder: Holder) -> None:
        """Raise LeaseLost unless this holder still holds an unexpired lease right now, by a consistent read."""

    def release(self, holder: Holder) -> None:
        """Release the lease; does nothing if it was lost. Notes stay."""

    def current(self) -> Holder | None:
        """Return the holder, also of an expired lease; None if the lease was released."""

    def note(self, holder: Holder, notes: Mapping[str, str | None]) -> None:
        """Write (or, with None, remove) notes beside the lease in one write.

        Raises LeaseLost unless ``holder`` holds the lease.
        """

    def notes(self) -> Mapping[str, str]:
        """Return all notes, of every writer."""

    def swap_note(self, name: str, seen: str | None, text: str) -> bool:
        """Replace one note if it still has the content ``seen`` (None: absent); return whether it did. Needs no lease."""


class Secrets(Protocol):
    """The store of the credentials."""

    def read(self, name: str) -> str:
        """Return the secret's current value. Raises NotFound or CloudDenied; no message ever contains a value."""


class Vault(Protocol):
    """Checks that secrets exist, without reading their values."""

    def obstacle(self, name: str) -> str | None:
        """Return why a secret cannot be used ("does not exist"), None if it can. Raises CloudError."""


class AuditStore(Protocol):
    """Keeps copies of the evidence that the deployer cannot change; never overwrites anything."""

    def put(self, name: str, content: bytes) -> None:
        """Store ``content``; safe to repeat. Raises StoredOtherwise if the name has other content already, CloudError."""

    def get(self, name: str) -> bytes | None:
        """Return the content under that name, None if there is none. Raises CloudError."""

    def names(self, prefix: str) -> Iterable[str]:
        """Return every name that begins with ``prefix``. Raises CloudError, also while the result is read."""


class Permissions(Protocol):
    """The rights that AWS itself gives a caller."""

    def missing(self, caller: Caller, duties: Sequence[str], target: Colour | None = None) -> Rights:
        """Check every right that the duties need, without using any. Never raises: a right that cannot be checked is
        ``unchecked``.

        ``target`` is the colour that is changed, while the other one is only read; None: either may be changed.
        """


class PushTarget(Protocol):
    """The registry's address for pushes; ``host`` is the host that images are pushed to."""

    host: str
    repository: str

    def credentials(self) -> tuple[str, str]:
        """Return user and password for the host; both expire. Raises CloudError."""


class Scans(Protocol):
    """The vulnerability scans of images."""

    def of(self, digest: str) -> Scan:
        """Return the newest scan of an image. Raises CloudError."""


class Quotas(Protocol):
    """The use of the account's quotas."""

    def measured(self) -> Sequence[Quota]:
        """Return every quota that concerns the estate and whose use AWS measures. Raises CloudError."""


class Domain(Protocol):
    """The live domain's DNS and TLS, checked without a request to the service behind it."""

    def observe(self) -> DomainState:
        """Resolve the domain and, for https, make a TLS handshake with it. Raises CloudUnreachable if either fails."""


class Addresses(Protocol):
    """The colours' own addresses, as this machine reaches them."""

    def contact(self, url: str) -> Contact:
        """Connect to a URL's host, within a deadline. Never raises CloudError."""


class Notifier(Protocol):
    """The channel to the team."""

    def send(self, notice: Notice) -> None:
        """Send the message; the channel decides who gets it. Raises CloudError."""


class Alarms(Protocol):
    """The service's other monitors: metric alarms, composite alarms, health checks."""

    def read(self, colour: Colour) -> Sequence[Alarm]:
        """Return the current state of every alarm that must not fire while ``colour`` is live, ABSENT ones included.

        Raises CloudError.
        """


class FrontDoor(Protocol):
    """The service as its users reach it: through the live domain, or a colour at its own address."""

    def ask(self, times: int, url: str | None = None) -> Sequence[Answer]:
        """Send the health check (to the live domain, or to ``url``), each time on a fresh connection, without retries."""

    def examine(self, url: str | None = None, *, every: bool = False) -> Sequence[str]:
        """Check health and dependencies, and play the described journeys that may be played on the live service.

        Returns what is wrong, each as ``CHECK: PROBLEM``: the first problem or, with ``every``, each one that can be
        found; empty if all is well.
        """

    def inspect(self, url: str | None = None, until: Collection[str] = ()) -> Findings:
        """Ask the same as ``examine``, and return each problem and each check that passed.

        Ends early as soon as one of the checks ``until`` passed.
        """

    def examined(self) -> str:
        """Return in words what ``examine`` asks: its requests, and its journeys with the number of their requests."""


class WrittenData(Protocol):
    """Data that journeys have written since a switch, to read it again after a rollback."""

    def read_back(self) -> Sequence[ReadBack]:
        """Read all of it again through the live domain; return a result for each request. Raises nothing."""

    def remove(self) -> None:
        """Remove it, as far as possible. Raises nothing."""


class JourneyData(Protocol):
    """The data that the described journeys write to the service."""

    def record(self, ledger: Path, front: FrontDoor) -> FrontDoor:
        """Start a run's ledger, the file of data that is not removed yet; return a front door that records in it, too.

        Returns ``front`` if the file cannot be written.
        """

    def remove(self, ledger: Path, within_s: float) -> Removal | None:
        """Remove through the live domain what a ledger lists; the file goes with the last entry. Raises nothing.

        None without a ledger, or if it belongs to another environment, or another process is removing the same data.
        """

    def write(self, url: str, ledger: Path | None) -> WrittenData:
        """Begin to play the journeys that may write on live, at ``url``, up to the last step that reads; return at once."""


class NoJourneyData:
    """An environment whose journeys' data is not recorded."""

    def record(self, ledger: Path, front: FrontDoor) -> FrontDoor:  # noqa: ARG002  # the port's signature
        """Return the same front door."""
        return front

    def remove(self, ledger: Path, within_s: float) -> Removal | None:  # noqa: ARG002  # the port's signature
        """Return None."""
        return None

    def write(self, url: str, ledger: Path | None) -> WrittenData:  # noqa: ARG002  # the port's signature
        """Return data that consists of nothing."""
        return NothingWritten()


class NothingWritten:
    """No data."""

    def read_back(self) -> Sequence[ReadBack]:
        """Return no result."""
        return ()

    def remove(self) -> None:
        """Do nothing."""


class NoAlarms:
    """An environment without alarms."""

    def read(self, colour: Colour) -> Sequence[Alarm]:  # noqa: ARG002  # the port's signature
        """Return no alarm."""
        return ()


NO_ALARMS = NoAlarms()
NO_JOURNEY_DATA = NoJourneyData()
