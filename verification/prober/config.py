"""What the prober's process is told, on its stdin and nowhere else."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from urllib.parse import urlsplit

from verification.http.raw_http import LARGEST_BODY
from verification.http.route import DIRECT, Route
from verification.journeys.accounts import SmokeUser
from verification.journeys.model import Service
from verification.prober.schedule import Schedule


@dataclass(frozen=True)
class ProberConfig:
    """Where to ask, what, as whom, how often.

    The prober plays the journeys of ``service`` that may be played on the live service. ``user`` is the smoke user; None: only
    journeys without a session are played.
    ``rate`` is requests per second in all; ``timeout_s`` what a request may take, from connecting to the answer's last byte;
    ``largest`` the bytes of a body.
    ``sign_in_pause_s`` is the pause before signing in is tried again. ``run`` marks what the prober writes, so that it finds
    all of it again, what a lost answer left behind included. ``stderr_log`` is a path; None: no log.
    ``control_url`` is an address that is asked the same, from the same process, ``control_rate`` times a second: what is slow
    at both is the machine's doing. Those samples are ``control`` ones. None: there is none.
    ``route``: what requests to ``base_url`` carry.
    Raises ValueError where a value makes no sense.
    """

    base_url: str
    user: SmokeUser | None
    service: Service
    rate: float = 40.0
    timeout_s: float = 2.0
    largest: int = LARGEST_BODY
    sign_in_pause_s: float = 1.0
    ca_file: str | None = None
    stderr_log: str | None = None
    control_url: str | None = None
    control_rate: float = 0.0
    run: str = field(default_factory=lambda: secrets.token_hex(8))
    route: Route = DIRECT

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"the prober needs an http or https URL, got {self.base_url!r}")
        if not 0 < self.rate <= 500:
            raise ValueError(f"the prober's rate is {self.rate} requests/s; it must lie above 0 and not above 500")
        if not 0 < self.timeout_s <= 60:
            raise ValueError(f"the prober's timeout is {self.timeout_s} s; it must lie above 0 and not above 60")

    @property
    def schedule(self) -> Schedule:
        """Which journeys are played, in which order."""
        return Schedule.of(self.service, with_user=self.user is not None)

    def intervals(self) -> Mapping[str, float]:
        """Return the seconds between two requests of each operation, if none fails."""
        return self.schedule.intervals(self.rate)

    @property
    def control(self) -> ProberConfig | None:
        """The same questions to the control; its marker is one of its own, so that each finds what it wrote itself."""
        if self.control_url is None:
            return None
        return replace(
            self,
            base_url=self.control_url,
            rate=self.control_rate,
            control_url=None,
            run=f"{self.run}-control",
            route=DIRECT,
        )

    @property
    def max_in_flight(self) -> int:
        """Slow answers may pile up to this many before an arrival waits: what the rate makes in one timeout, and 2 spare."""
        return min(256, int(self.rate * self.timeout_s) + 3)

    def to_line(self) -> str:
        """One line of JSON, credentials included: for a pipe, never for a log."""
        # What the process does not play it need not parse.
        played = replace(
            self.service,
            contract=None,
            dependencies={},
            journeys=self.service.played_on_live(),
            stores={},
            environment={},
        )
        values = {
            "base_url": self.base_url,
            "user": self.user and {"email": self.user.email, "password": self.user.password},
            "service": played.to_json(),
            "rate": self.rate,
            "timeout_s": self.timeout_s,
            "largest": self.largest,
            "sign_in_pause_s": self.sign_in_pause_s,
            "ca_file": self.ca_file,
            "control_url": self.control_url,
            "control_rate": self.control_rate,
            "run": self.run,
            "route": asdict(self.route),
        }
        return json.dumps(values) + "\n"

    @classmethod
    def from_line(cls, line: str) -> ProberConfig:
        """Raises ValueError, TypeError or LookupError where the line is no configuration."""
        values = json.loads(line)
        user, service = values.pop("user"), Service.from_json(values.pop("service"))
        route = Route.from_json(values.pop("route"))
        return cls(user=user and SmokeUser(**user), service=service, route=route, **values)
