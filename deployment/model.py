"""The values that a deployment works with: colours, images, routes, holders of the lease."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, Flag, StrEnum, auto


class Colour(StrEnum):
    """One of the two sides of the estate."""

    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> Colour:
        """The other colour."""
        return Colour.GREEN if self is Colour.BLUE else Colour.BLUE


@dataclass(frozen=True)
class Image:
    """A release in the registry. The digest is its identity; a tag is only a name for it.

    ``version`` is the manifest's annotation ``org.opencontainers.image.version``: the running release must report it.
    ``uri`` is what a platform pulls: ``ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY@sha256:…``. ``irreversible``:
    the release declares that no older one can work on the database once its migration has run. ``committed_at``: the time of
    its commit (ISO 8601 with an offset) if its registry knows it. ``migration``: what the image declares about its
    migration, ``reversible`` or ``irreversible``; None if it declares nothing. Neither is a part of the identity.
    """

    repository: str
    tag: str
    digest: str
    version: str
    uri: str
    irreversible: bool = False
    committed_at: str | None = field(default=None, compare=False)
    migration: str | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """``REPOSITORY:TAG``, for people."""
        return f"{self.repository}:{self.tag}"


@dataclass(frozen=True)
class Service:
    """The platform's description of one colour, now.

    ``digest`` is the configured one, None if the service does not exist. ``origin`` is the host (and port) that the
    front door forwards to, ``url`` the same as a URL; both are None if the service does not exist. ``running``: the
    service serves requests. ``configuration`` is a hash over the whole configuration except the image (variables,
    secrets' names, size, health check). ``busy``: an operation is under way, and the platform refuses others.
    ``unhealthy`` says which of its instances are missing or fail their health checks; it is None if all are healthy or
    the platform does not distinguish them. ``obstacle`` says why nothing can be deployed to the colour; it is None if a
    deployment is possible.
    """

    colour: Colour
    status: str
    running: bool = False
    busy: bool = False
    digest: str | None = None
    origin: str | None = None
    url: str | None = None
    configuration: str | None = None
    unhealthy: str | None = None
    obstacle: str | None = None


@dataclass(frozen=True)
class Configuration:
    """A colour's configuration except its image, by name.

    ``variables`` may hold secrets, so their values are never shown; ``secrets`` maps a variable to the secret's name or
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
    """The state of a rollout or of a retirement. ``detail`` says what it waits for, or why it is stuck."""

    readiness: Readiness
    detail: str


@dataclass(frozen=True)
class Rollout:
    """A platform operation that was started. Any process can follow it by ``operation``, also a later one.

    ``operation`` is empty if there was nothing to do.
    """

    colour: Colour
    digest: str
    operation: str


@dataclass(frozen=True)
class Routes:
    """How the front door splits the traffic: ``weights`` in percent (sum 100); each switch increments ``generation``.

    ``revision`` is the router's own compare-and-set token (an ETag), empty if it has none. ``fence`` is the fencing
    token of the deployment that wrote last. ``spread_s`` is the longest time in seconds that a switch may take to reach
    every client, according to AWS's documentation and the caches' TTL; 0 if the front door applies it at once.
    """

    live: Colour
    weights: Mapping[Colour, int]
    generation: int
    revision: str = ""
    fence: int = 0
    spread_s: float = field(default=0, compare=False)


@dataclass(frozen=True)
class Holder:
    """The holder of the lease: enough to name it, and to find out whether its process is alive.

    ``process_started`` is the process's start in seconds since the epoch; a later process of the same pid started at
    another time. ``token`` is the fencing token; it grows with every acquisition. ``process_identity``: see
    ``deployment.clock``; None if the system has none, or if an earlier version wrote the holder.
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
    process_identity: str | None = None


@dataclass(frozen=True)
class Caller:
    """The identity that AWS sees behind the credentials in use."""

    arn: str
    account: str
    expires_at: datetime | None = None
    """When the credentials end; None if they are renewed, or if their end is unknown."""


@dataclass(frozen=True)
class Contact:
    """What this machine found at an address: ``reached`` is None if the answer does not show it."""

    reached: bool | None
    detail: str


@dataclass(frozen=True)
class Rights:
    """AWS's answer about a caller's rights: the actions that AWS would deny, and, as text, what could not be checked."""

    missing: tuple[str, ...] = ()
    unchecked: str | None = None


@dataclass(frozen=True)
class Scan:
    """The vulnerability scan of an image: the number of findings by severity, once it is ``finished``.

    If it is not finished, ``detail`` says why, and ``under_way`` whether it may still finish by itself.
    """

    finished: bool
    findings: Mapping[str, int]
    detail: str = ""
    under_way: bool = False


@dataclass(frozen=True)
class Quota:
    """The used part of a quota, as AWS measured it last."""

    name: str
    used: float
    limit: float

    def __str__(self) -> str:
        return f"{self.used:g} of {self.limit:g} {self.name}"


@dataclass(frozen=True)
class DomainState:
    """The addresses of the live domain, and when its certificate expires; None if its URL is http."""

    host: str
    addresses: tuple[str, ...]
    expires_at: datetime | None


DIED = "the run died"
"""How the reason of a run begins whose process ended before the run did."""
UNRECORDED = "not recorded"
"""How the reason of a promotion begins whose bake passed, but which the lock's table did not take."""
STOPPED = "the run was stopped before all checks had run"
_CUT_SHORT = ("interrupted by ", STOPPED, DIED)


@dataclass(frozen=True)
class Reason:
    """Why a run did not succeed: the step or gate, and its error. Reports show ``WHERE: TEXT``."""

    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"

    @property
    def cut_short(self) -> bool:
        """Whether the run ended early although nothing was found wrong with its release."""
        return self.text.startswith(_CUT_SHORT)

    def with_more(self, text: str) -> Reason:
        """Return the same reason with ``text`` appended."""
        return Reason(self.where, f"{self.text}; {text}")

    def cleaned(self, clean: Callable[[str], str]) -> Reason:
        """Return the same reason with both parts passed through ``clean``."""
        return Reason(clean(self.where), clean(self.text))

    @staticmethod
    def parse(text: str) -> Reason:
        """Read a reason that was stored as text."""
        where, _, rest = text.partition(": ")
        return Reason(where, rest)


class NoticeKind(StrEnum):
    """The events that the team gets a message about."""

    STARTED = "started"
    AWAITING_APPROVAL = "waiting for approval"
    REJECTED = "rejected"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"
    ROLLBACK_FAILED = "rollback failed"


@dataclass(frozen=True)
class Notice:
    """One message for the team; ``report`` is the place of the evidence."""

    kind: NoticeKind
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

    @property
    def interrupted(self) -> bool:
        """Whether something else than the release ended the run: a signal, a person, or the death of its process."""
        return self.reason is not None and self.reason.cut_short


class AlarmState(StrEnum):
    """The states of an alarm; the values are CloudWatch's own, except the last."""

    OK = "OK"
    FIRING = "ALARM"
    UNPROVEN = "INSUFFICIENT_DATA"  # nothing was measured: neither OK nor firing
    ABSENT = "ABSENT"  # no alarm has that name


@dataclass(frozen=True)
class Alarm:
    """One alarm or health check of this service: its name, its state, and why it is in that state."""

    name: str
    state: AlarmState
    reason: str = ""
    since: datetime | None = None

    def __str__(self) -> str:
        when = f" since {self.since:%Y-%m-%d %H:%M:%S} UTC" if self.since else ""
        return f"{self.name} is {self.state}{when}{': ' if self.reason else ''}{self.reason}"


@dataclass(frozen=True)
class Answer:
    """One answer of the live domain on a fresh connection: its colour, generation and version, or the problem.

    ``status``: the HTTP status; None if there was no answer, or if it is unknown.
    """

    ok: bool
    colour: str | None = None
    generation: int | None = None
    version: str | None = None
    problem: str | None = None
    status: int | None = None

    def fails_like(self, problems: Collection[str]) -> bool:
        """Return whether there was an answer, and its problem is one of these, to the letter.

        A gateway answers 502 or 504 if the service gave no answer. It may send other statuses for a dead service too, so
        this does not prove that the service answered.
        """
        return not self.ok and self.status not in (None, 502, 504) and self.problem in problems


@dataclass(frozen=True)
class Findings:
    """What an examination found: each problem as ``CHECK: PROBLEM``, and each check that passed with a status 2xx.

    A gateway that answers for a dead service lets no such check pass. A check that also failed is not in ``passed``.
    """

    problems: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Removal:
    """The removal of the data that journeys of a dead run left.

    ``removed`` counts the entries that were removed, ``gone`` the plays of journeys whose data was gone already. ``left`` says
    what could not be removed, and why.
    """

    removed: int = 0
    gone: int = 0
    left: tuple[str, ...] = ()

    @property
    def nothing(self) -> bool:
        """Return whether the ledger listed nothing."""
        return not (self.removed or self.gone or self.left)

    def __str__(self) -> str:
        text = f"{self.removed} entries that its journeys left in the service were removed"
        if self.gone:
            text += f", {self.gone} were gone already"
        return f"{text}; not removed: {'; '.join(self.left)}" if self.left else text


@dataclass(frozen=True)
class ReadBack:
    """One request that reads what a journey wrote after the switch, sent again after a rollback.

    ``problem``: why it did not read the data, or why nothing was written (``written`` is False); None if it read the data.
    """

    journey: str
    operation: str
    problem: str | None = None
    written: bool = True

    @property
    def readable(self) -> bool:
        """Return whether the data was read."""
        return self.written and self.problem is None

    @property
    def outcome(self) -> str:
        """Return the result in one word: ``readable``, ``not_readable`` or ``not_written``."""
        return "not_written" if not self.written else "readable" if self.readable else "not_readable"

    def __str__(self) -> str:
        word = {"not_written": "not written", "not_readable": "NOT readable after the rollback"}.get(self.outcome)
        return f"{word or 'still readable'}: {self.journey}, {self.operation}" + (
            f": {self.problem}" if self.problem else ""
        )


@dataclass(frozen=True)
class GateRule:
    """What the settings require of a gate: a required one must pass, with at least ``min_checks`` checks."""

    name: str
    required: bool = True
    min_checks: int = 1


class Reads(Flag):
    """The secrets that a command reads when it connects."""

    NOTHING = 0
    USERS = auto()
    """The smoke users, with whom it signs in."""
    CHECKED = auto()
    """The secrets that only checks use: the key of the service's tokens, and the addresses of its stores."""
    ALL = USERS | CHECKED
    USERS_IF_READABLE = auto()
    """The smoke users; if they cannot be read, the command works without them: the way back must not depend on a secret."""
