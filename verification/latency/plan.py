"""What the latency gate measures: of which colours, which operations, how often and how fast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal

from verification.http.raw_http import LARGEST_BODY
from verification.journeys.accounts import SmokeUser

Kind = Literal["kept", "fresh"]
KINDS: tuple[Kind, ...] = ("kept", "fresh")
CANDIDATE, LIVE = "candidate", "live"
# The live colour once more, asked as if it were a third one: what differs between it and live is the noise of these minutes.
CONTROL = "control"


@dataclass(frozen=True)
class Operation:
    """One operation of the contract. ``part``: the share of the samples that it gets; a login costs more than all others together."""

    name: str
    method: str
    path: str
    expected: int
    part: float = 1.0
    protected: bool = False


# In this order within a round: what is booked is read and deleted again, who signs in signs out.
OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        one.name: one
        for one in (
            Operation("health", "GET", "/health", 200),
            Operation("healthDatabase", "GET", "/health/database", 200),
            Operation("healthRedis", "GET", "/health/redis", 200),
            Operation("listConsults", "GET", "/consults?limit=20", 200, protected=True),
            Operation("createConsult", "POST", "/consults", 201, protected=True),
            Operation("readConsult", "GET", "/consults/{id}", 200, protected=True),
            Operation("cancelConsult", "DELETE", "/consults/{id}", 204, protected=True),
            Operation("login", "POST", "/auth/login", 200, part=0.25),
            Operation("logout", "POST", "/auth/logout", 204, part=0.25, protected=True),
        )
    }
)


@dataclass(frozen=True)
class LatencyPlan:
    """``urls`` by colour: ``candidate``, and ``live`` where there is one to compare with; each at its own address.

    ``samples`` and ``warmup`` are answers of each operation, kind of connection and colour. ``rate`` is requests per second
    that each colour is asked at most. ``timeout_s`` limits a whole request, ``largest`` the bytes of an answer's body. ``longest_s`` ends a measurement that the release, or the machine, draws out.
    """

    urls: Mapping[str, str]
    user: SmokeUser = field(repr=False)
    samples: int = 100
    warmup: int = 20
    rate: float = 50.0
    timeout_s: float = 10.0
    largest: int = LARGEST_BODY
    longest_s: float = 120.0
    ca_file: str | None = None

    def __post_init__(self) -> None:
        if CANDIDATE not in self.urls or set(self.urls) > {CANDIDATE, LIVE}:
            raise ValueError(f"latency is measured of {CANDIDATE} and {LIVE}, got {', '.join(self.urls)}")
        if self.samples < 1 or self.rate <= 0 or self.timeout_s <= 0:
            raise ValueError("the latency's samples, rate and timeout must be above 0")


@dataclass(frozen=True)
class LatencyLimits:
    """What is allowed; the defaults are weighed against each other in ``benchmarks/latency_false_alarms.py``.

    ``p50_ms``, ``p95_ms``, ``p99_ms``: each operation's own, whatever live does. ``slower``: the typical answer may take so many
    times live's; what is under ``slower_ms`` longer matters to nobody. ``found``: the slowdown that enough samples find in
    ``power`` of cases. ``tail_share``: so many more answers than live's may be slow. ``alpha``: of the whole gate, one measurement.
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
        """From the gate's table of the settings; keys that are no limits are somebody else's."""
        known = {one.name for one in fields(LatencyLimits)}
        return LatencyLimits(**{key: float(value) for key, value in table.items() if key in known})
