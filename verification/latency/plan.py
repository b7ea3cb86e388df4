"""Says what the latency gate measures: which colours, which operations, how often and how fast."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

from verification.http.raw_http import LARGEST_BODY
from verification.http.route import DIRECT, Route
from verification.journeys.accounts import SmokeUser
from verification.journeys.model import Journey, Service, Session, Step

Kind = Literal["kept", "fresh"]
KINDS: tuple[Kind, ...] = ("kept", "fresh")
Place = tuple[str, Kind]
Role = Literal["step", "sign in", "sign out"]
CANDIDATE, LIVE = "candidate", "live"
# Second series of both colours, measured like further colours. The difference of a colour from itself is the noise of these
# minutes. Both have one, because a process that is asked more often is quicker: it is awake, and near the measuring process.
AGAIN = {CANDIDATE: "candidate again", LIVE: "control"}
_PART_OF_SIGN_IN = 0.25


@dataclass(frozen=True)
class Operation:
    """A request of the description that is measured.

    ``name``: the contract's operation id, or method and path. ``journey``: the journey that its step belongs to, as it
    is played here; None for a health check and for a sign-in. ``session``: the session in which it is sent, or that it
    opens or closes (``role``). ``part``: the share of the samples that it gets; a sign-in costs more than all others
    together. ``beside``: the operations that it needs before it, because they create what it asks for, and after it,
    because they remove it.
    """

    name: str
    step: Step
    journey: Journey | None = None
    session: Session | None = None
    role: Role = "step"
    part: float = 1.0
    beside: tuple[str, ...] = ()

    @property
    def method(self) -> str:
        """Return the request's method."""
        return self.step.request.method

    @property
    def path(self) -> str:
        """Return the request's path with its query; captured values as ``{name}``."""
        return self.step.request.path.replace("${", "{")


def operations_of(service: Service) -> Mapping[str, Operation]:
    """Return what the latency gate measures, by name, in the order in which a round asks it.

    The health check, the dependencies' checks, each operation of the journeys at its first step, then signing in and out. Journeys are
    those that may be played on live, because both colours get the same requests.
    """
    found = {step.operation: Operation(step.operation, step) for step in service.probes()}
    for journey in service.played_on_live():
        played = journey.without_looks()
        for step in played.all_steps:
            if step.operation not in found and _is_possible(step, played):
                found[step.operation] = Operation(
                    step.operation, step, played, service.sessions.get(played.session or "")
                )
    for session in service.sessions.values():
        closing = session.sign_out if session.sign_in is not None else None
        requests: tuple[tuple[Role, Step | None], ...] = (("sign in", session.sign_in), ("sign out", closing))
        for role, asked in requests:
            if asked is not None and asked.operation not in found:
                found[asked.operation] = Operation(asked.operation, asked, None, session, role, _PART_OF_SIGN_IN)
    return MappingProxyType({name: replace(one, beside=_beside(one, found.values())) for name, one in found.items()})


def _is_possible(step: Step, journey: Journey) -> bool:
    steps = journey.all_steps
    return step.needs() <= {name for one in steps[: steps.index(step)] for name in one.capture}


def is_needed(step: Step, later: Step) -> bool:
    """Return whether an earlier step of a journey must have been asked: it writes, or captures something for a later one."""
    return step.request.writes or bool(later.needs() & set(step.capture))


def _beside(operation: Operation, all_: Iterable[Operation]) -> tuple[str, ...]:
    """Return the measured operations that must go before or after an operation."""
    if operation.role != "step":
        return tuple(
            one.name for one in all_ if one.session == operation.session and one.role not in ("step", operation.role)
        )
    if operation.journey is None:
        return ()
    steps = operation.journey.all_steps
    own = steps.index(operation.step)
    needed = _needed_before(steps[: own + 1])
    if any(step.request.writes for step in (*needed, operation.step)):
        needed = [*needed, *operation.journey.undo]
    return tuple(
        one.name for one in all_ if one.journey == operation.journey and one != operation and one.step in needed
    )


def _needed_before(steps: Sequence[Step]) -> list[Step]:
    """Return the steps that the last one needs, directly or through another one."""
    needed = [steps[-1]]
    for step in reversed(steps[:-1]):
        if any(is_needed(step, later) for later in needed):
            needed.append(step)
    return needed[1:]


@dataclass(frozen=True)
class LatencyPlan:
    """What is measured. ``urls`` by colour: ``candidate``, and ``live`` if there is one to compare with; each at its own address.

    ``service`` describes the requests; ``user`` signs in, None for a service without accounts. ``samples`` and
    ``warmup`` count the answers of each operation, kind of connection and colour. ``rate`` is the highest number of
    requests per second that each colour gets. ``timeout_s`` limits a whole request, ``largest`` the bytes of an
    answer's body. ``longest_s`` ends a measurement that the release, or the machine, prolongs. ``ca_file`` as in
    ``tls_context``. ``route``: the headers and the host of the candidate's requests. ``ledger``: the path of the run's
    ledger; None: written data is not recorded.

    Raises ValueError for other colours, for samples, rate or time-out of 0 or less, and for a missing user.
    """

    urls: Mapping[str, str]
    service: Service
    user: SmokeUser | None = field(repr=False)
    samples: int = 100
    warmup: int = 20
    rate: float = 50.0
    timeout_s: float = 10.0
    largest: int = LARGEST_BODY
    longest_s: float = 120.0
    ca_file: str | None = None
    route: Route = DIRECT
    ledger: str | None = None

    def __post_init__(self) -> None:
        if CANDIDATE not in self.urls or set(self.urls) > {CANDIDATE, LIVE}:
            raise ValueError(f"latency is measured of {CANDIDATE} and {LIVE}, got {', '.join(self.urls)}")
        if self.samples < 1 or self.rate <= 0 or self.timeout_s <= 0:
            raise ValueError("the latency's samples, rate and timeout must be above 0")
        if self.user is None and self.service.needs_user:
            raise ValueError(f"the latency of {self.service.name} needs a smoke user: its sessions need an account")

    @cached_property
    def operations(self) -> Mapping[str, Operation]:
        """Return the operations that are measured, by name."""
        return operations_of(self.service)

    def route_of(self, colour: str) -> Route:
        """Return how requests reach a colour: ``route`` leads to the candidate, and to no other one."""
        return self.route if colour in (CANDIDATE, AGAIN[CANDIDATE]) else DIRECT

    @property
    def places(self) -> list[Place]:
        """Return every operation over every kind of connection."""
        return [(name, kind) for kind in KINDS for name in self.operations]


@dataclass(frozen=True)
class LatencyLimits:
    """The limits of the latency gate; ``benchmarks/latency_false_alarms.py`` weighs the defaults against each other.

    ``p50_ms``, ``p95_ms``, ``p99_ms``: budgets of each operation, independent of live. ``slower``: the typical answer
    may take up to this many times live's; a difference below ``slower_ms`` is ignored. ``found``: the slowdown that
    enough samples find in ``power`` of cases. ``tail_share``: the allowed difference between the shares of slow answers
    of the candidate and of live. ``alpha``: of the whole gate, for one measurement.
    """

    p50_ms: float = 500.0
    p95_ms: float = 1000.0
    p99_ms: float = 2000.0
    slower: float = 1.25
    slower_ms: float = 5.0
    found: float = 1.5
    tail_share: float = 0.02
    alpha: float = 0.05
    power: float = 0.95

    @staticmethod
    def of(table: Mapping[str, Any]) -> LatencyLimits:
        """Return the limits in the gate's table of the settings; other keys are ignored."""
        known = {one.name for one in fields(LatencyLimits)}
        return LatencyLimits(**{key: float(value) for key, value in table.items() if key in known})
