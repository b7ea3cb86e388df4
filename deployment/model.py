"""The things a deployment is about: colours, images, routes, holders of the lease."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum


class Colour(StrEnum):
    """One of the two sides of the estate."""

    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> Colour:
        """The other side."""
        return Colour.GREEN if self is Colour.BLUE else Colour.BLUE


@dataclass(frozen=True)
class Image:
    """A release as the registry has it; the digest is its identity, the tag a name somebody gave it once.

    ``version`` is the manifest's annotation ``org.opencontainers.image.version``: what the running release must report.
    ``uri`` is what a platform pulls: ``ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY@sha256:…``.
    ``irreversible``: the release declares that no older one can work on the database once its migration has run.
    """

    repository: str
    tag: str
    digest: str
    version: str
    uri: str
    irreversible: bool = False

    @property
    def name(self) -> str:
        """``REPOSITORY:TAG``, for people."""
        return f"{self.repository}:{self.tag}"


@dataclass(frozen=True)
class Service:
    """What the platform says about one colour, now.

    ``digest`` is the configured one, None where the service does not exist. ``origin`` is the host (and port) that the
    front door forwards to, ``url`` the same as a URL; both None unless it exists. ``running`` means that it serves.
    ``configuration`` is a hash over everything configured but the image (variables, secrets' names, size, health check).
    ``busy`` means that an operation is under way and the platform refuses others. ``unwell`` says which of its instances
    is missing or does not pass its health checks, None where all do or the platform does not tell them apart.
    ``obstacle`` says why nothing can be deployed to it, None where something can.
    """

    colour: Colour
    status: str
    running: bool = False
    busy: bool = False
    digest: str | None = None
    origin: str | None = None
    url: str | None = None
    configuration: str | None = None
    unwell: str | None = None
    obstacle: str | None = None


@dataclass(frozen=True)
class Configuration:
    """What is configured for a colour besides its image, by name.

    ``variables`` may hold secrets, so their values are shown nowhere; ``secrets`` maps a variable to the secret's name or
    ARN; ``rest`` is everything else, by dotted names.
    """

    variables: Mapping[str, str] = field(repr=False)
    secrets: Mapping[str, str]
    rest: Mapping[str, str]


class Readiness(Enum):
    """The three answers to 'is it up?'."""

    READY = "ready"
    NOT_YET = "not yet"
    STUCK = "stuck"


@dataclass(frozen=True)
class Progress:
    """Where a rollout, or a retirement, stands; ``detail`` says what is waited for, or why it is stuck."""

    readiness: Readiness
    detail: str


@dataclass(frozen=True)
class Rollout:
    """A platform operation that was started and can be followed by ``operation``, also by another process later.

    ``operation`` is empty where nothing had to be done.
    """

    colour: Colour
    digest: str
    operation: str


@dataclass(frozen=True)
class Routes:
    """Where the front door sends viewers: ``weights`` in percent (sum 100), ``generation`` grows by one with each switch.

    ``revision`` is the router's own compare-and-set token (an ETag), empty where it has none. ``fence`` is the fencing
    token of the deployment that wrote last. ``spread_s``: so long a switch may take until it is everywhere, in seconds, by
    what AWS says of it and by what caches may keep; 0 where the front door has it at once.
    """

    live: Colour
    weights: Mapping[Colour, int]
    generation: int
    revision: str = ""
    fence: int = 0
    spread_s: float = field(default=0, compare=False)


@dataclass(frozen=True)
class Holder:
    """Who holds the lease: enough to name them, and to find out whether their process still lives.

    ``process_started`` is the process's start in seconds since the epoch, which tells it from a later one of the same pid.
    ``token`` is the fencing token; it grows with every acquisition.
    """

    deployment_id: str
    actor: str
    host: str
    pid: int
    process_started: float
    since: datetime
    expires_at: datetime
    token: int = 0
    doing: str = ""


@dataclass(frozen=True)
class Caller:
    """The identity that AWS sees behind the credentials in use."""

    arn: str
    account: str


@dataclass(frozen=True)
class Rights:
    """What AWS said about a caller's rights: the actions it would be denied, and in words what could not be found out."""

    missing: tuple[str, ...] = ()
    unchecked: str | None = None


@dataclass(frozen=True)
class Scan:
    """What a scan of an image for weaknesses said: findings by severity, once it is ``finished``.

    ``detail`` says why it is not; ``under_way`` that it may finish by itself.
    """

    finished: bool
    findings: Mapping[str, int]
    detail: str = ""
    under_way: bool = False


@dataclass(frozen=True)
class Quota:
    """How much of a quota is used, as AWS measured it last."""

    name: str
    used: float
    limit: float

    def __str__(self) -> str:
        return f"{self.used:g} of {self.limit:g} {self.name}"


@dataclass(frozen=True)
class DomainState:
    """Where the live domain leads, and when its certificate ends; None where its URL is of http."""

    host: str
    addresses: tuple[str, ...]
    expires_at: datetime | None


@dataclass(frozen=True)
class Reason:
    """Why a run did not succeed: the step or gate concerned, and what went wrong there. Reports show ``WHERE: TEXT``."""

    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"

    def with_more(self, text: str) -> Reason:
        """Return the same reason with another half-sentence."""
        return Reason(self.where, f"{self.text}; {text}")

    def cleaned(self, clean: Callable[[str], str]) -> Reason:
        """Return the same reason with both parts passed through ``clean``."""
        return Reason(clean(self.where), clean(self.text))

    @staticmethod
    def parse(text: str) -> Reason:
        """Read a reason that was stored as text."""
        where, _, rest = text.partition(": ")
        return Reason(where, rest)


class Happening(StrEnum):
    """What a team is told about."""

    STARTED = "started"
    AWAITING_APPROVAL = "waiting for approval"
    REJECTED = "rejected"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"
    ROLLBACK_FAILED = "rollback failed"


@dataclass(frozen=True)
class Notice:
    """One message for the team; ``report`` is where the evidence will be."""

    happening: Happening
    deployment_id: str
    environment: str
    target: str
    image: str
    digest: str
    actor: str
    report: str
    reason: Reason | None = None

    @property
    def gate(self) -> str | None:
        """The step or gate that the reason names, or None."""
        return self.reason.where if self.reason else None


class AlarmState(StrEnum):
    """The answers to 'is it firing?'; the values are CloudWatch's own, but for the last."""

    OK = "OK"
    FIRING = "ALARM"
    UNPROVEN = "INSUFFICIENT_DATA"  # nothing was measured: neither well nor ill
    ABSENT = "ABSENT"  # no alarm has that name


@dataclass(frozen=True)
class Alarm:
    """One alarm or health check that somebody set up for this service: its name, its state, and why it is in it."""

    name: str
    state: AlarmState
    reason: str = ""
    since: datetime | None = None

    def __str__(self) -> str:
        when = f" since {self.since:%Y-%m-%d %H:%M:%S} UTC" if self.since else ""
        return f"{self.name} is {self.state}{when}{': ' if self.reason else ''}{self.reason}"


@dataclass(frozen=True)
class Answer:
    """One answer of the live domain on a connection of its own: which colour, generation and version, or why none."""

    ok: bool
    colour: str | None = None
    generation: int | None = None
    version: str | None = None
    problem: str | None = None


@dataclass(frozen=True)
class GateRule:
    """What the settings ask of a gate: a required one must pass, with at least ``min_checks`` checks."""

    name: str
    required: bool = True
    min_checks: int = 1
