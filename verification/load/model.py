"""The plan of a load, and its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlsplit

from verification.http.route import DIRECT, Route
from verification.journeys.accounts import SmokeUser
from verification.journeys.model import Journey, Service

MOST_REMOVING_S = 20.0
"""The longest time (s) in which a Locust process removes what its users wrote."""


class LoadFailed(AssertionError):
    """The load did not run, or its result is unknown: no verdict about the service, and no pass."""


def journeys_of(service: Service) -> tuple[Journey, ...]:
    """Return the journeys that the load plays, without the ``undo`` steps that only check whether something is gone."""
    return tuple(one.without_looks() for one in service.played_on_live() if one.weight > 0)


@dataclass(frozen=True)
class LoadPlan:
    """The plan: ``rate`` requests per second in all, by ``users`` simultaneous users, for ``seconds`` from the first user's start.

    The users play the journeys of ``service``, each as often as its weight says, and sign in as ``smoke_users`` in
    turn. ``ramp`` is how many users start per second (None: all within one second). ``timeout_s`` limits one request as
    a whole, and ``largest`` the bytes of its answer's body. ``workers`` Locust processes on this machine share the load
    with ``elsewhere`` more that join at ``listen`` (host, port). ``most_failures`` failed requests end the load, to
    protect the release; only without workers. ``route``: the headers and the host of each request. ``ledger``: the path of
    the run's ledger; workers elsewhere, and a load without one, do not record written data. Raises ValueError if a value
    makes no sense.
    """

    base_url: str
    service: Service
    smoke_users: tuple[SmokeUser, ...] = field(default=(), repr=False)
    users: int = 10
    rate: float = 50.0
    seconds: float = 10.0
    ramp: float | None = None
    timeout_s: float = 10.0
    largest: int = 16_000_000
    ca_file: str | None = None
    workers: int = 1
    elsewhere: int = 0
    listen: tuple[str, int] | None = None
    most_failures: int | None = None
    route: Route = DIRECT
    ledger: str | None = None

    @property
    def shared(self) -> bool:
        """Return whether several processes share the load, under a master that sends no request itself."""
        return self.workers + self.elsewhere > 1

    @property
    def sign_ins(self) -> frozenset[str]:
        """Return the operations that only open sessions: they are not part of the mix."""
        opened = {one.sign_in.operation for one in self.service.sessions.values() if one.sign_in is not None}
        return frozenset(opened - {step.operation for one in journeys_of(self.service) for step in one.all_steps})

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"the load needs an http or https URL, got {self.base_url!r}")
        if not self.smoke_users and self.service.needs_user:
            raise ValueError("the load needs at least one smoke user: the service's sessions need an account")
        if not journeys_of(self.service):
            raise ValueError(
                "the load has no journey to play: one needs a weight above 0, and `live: true` if it writes"
            )
        for name in ("users", "rate", "seconds", "timeout_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"the load's {name} is {getattr(self, name)}; it must be above 0")
        if self.workers < 1 or self.elsewhere < 0 or self.workers + self.elsewhere > self.users:
            raise ValueError(
                f"the load of {self.users} users cannot be made by {self.workers} workers here and {self.elsewhere} elsewhere"
            )
        if self.elsewhere and self.listen is None:
            raise ValueError("the load's workers elsewhere need an address to join at")
        if self.elsewhere and not self.smoke_users:
            raise ValueError("the load's workers elsewhere need smoke users: only who knows their passwords may join")
        if self.elsewhere and self.route != DIRECT:
            raise ValueError(
                "the load's workers elsewhere get no --header and no --host: their connection is not private"
            )
        if self.shared and self.most_failures is not None:
            raise ValueError("the load of several workers does not end at a number of failures")


@dataclass(frozen=True)
class OperationLoad:
    """One operation's part of a load. Times in ms; ``times``: how many answers took each time, in the precision that Locust keeps."""

    operation: str
    requests: int
    failures: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    times: Mapping[float, int] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class WorkerLoad:
    """One Locust process's part of a load, and whether it had time to spare: see LoadResult for its figures."""

    host: str
    requests: int
    seconds: float
    generator_cpu: float
    late_ms: float


@dataclass(frozen=True)
class LoadResult:
    """The result of a load.

    ``requests``, ``failures`` and ``failure_ratio`` count the mix, and sign-ins that failed; times (ms) and
    ``throughput`` (requests/s) are the mix's alone. Successful sign-ins are in ``by_operation`` only. ``seconds`` is
    how long the load really lasted; ``cut_short`` if that is under 95 % of ``planned_seconds``. ``generator_cpu`` is
    how many cores Locust kept busy: near 1.0 the generator, not the service, set the pace. ``late_ms`` is the p95 of
    how much later than requested its clock woke it up: the time that the generating machine adds to every answer.

    If several workers shared the load, ``seconds``, ``generator_cpu`` and ``late_ms`` are those of the worst of them; ``workers``
    holds all of them, and is empty for one process. ``by_second``: second, requests, failures and p95 (ms).
    ``left``: how many runs of journeys may have left data, because the load could not remove it. Times come from Locust's histogram: whole ms below 100 ms, two
    significant digits above.
    """

    requests: int
    failures: int
    failure_ratio: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    throughput: float
    seconds: float
    planned_seconds: float
    cut_short: bool
    generator_cpu: float
    late_ms: float
    by_operation: tuple[OperationLoad, ...]
    errors: tuple[tuple[str, int], ...]
    workers: tuple[WorkerLoad, ...] = ()
    by_second: tuple[tuple[int, int, int, float], ...] = ()
    left: int = 0

    MOST_CPU: ClassVar[float] = 0.9

    def proves_something(self, limits: Mapping[str, Any]) -> bool:
        """Return whether there were enough requests, by a generator with time to spare, for a verdict about the release."""
        floor = float(limits.get("throughput", 0)) * float(limits.get("rate", 0))
        enough = self.requests >= int(limits.get("min_requests", 1)) and self.throughput >= floor
        return enough and not self.saturated(self.latest_of(limits))

    @staticmethod
    def latest_of(limits: Mapping[str, Any]) -> float:
        """Return how late (ms) the generator's clock may be: a quarter of the p95 budget. A later clock measures itself."""
        return float(limits.get("p95_ms", 1000)) / 4

    def saturated(self, latest_ms: float) -> bool:
        """Return whether the generator, or the machine that it runs on, had no time to spare."""
        return self.generator_cpu > self.MOST_CPU or self.late_ms > latest_ms
