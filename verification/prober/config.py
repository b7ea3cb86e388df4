"""The configuration of the prober's process. It is sent on stdin and nowhere else."""

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
from verification.journeys.placeholders import provide_secrets, provided_secrets
from verification.prober.schedule import Schedule


@dataclass(frozen=True)
class ProberConfig:
    """The address to ask, the requests, the user, and the rate.

    The prober plays the journeys of ``service`` that may be played on the live service. ``user`` is the smoke user;
    None: only journeys without a session are played. ``rate`` is requests per second in all. ``timeout_s`` limits a
    request from connecting to the answer's last byte, ``largest`` the bytes of a body. ``sign_in_pause_s`` is the pause
    before another attempt to sign in. ``run`` marks the prober's data, so that it finds all of it again, also data of
    requests whose answers were lost. ``stderr_log`` is a path; None: no log.

    ``control_url`` is an address that gets the same requests, from the same process, ``control_rate`` times a second:
    if both addresses are slow, the machine is slow. Those samples are marked ``control``. None: there is no control.

    ``route``: the headers and the host of requests to ``base_url``. ``ledger``: the path of the run's ledger, in which data
    that is not removed yet is recorded; None: nothing is recorded. Raises ValueError if a value makes no sense.
    ``deployment/settings.schema.json`` alone limits rate and time-out from above.
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
    ledger: str | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"the prober needs an http or https URL, got {self.base_url!r}")
        if not self.rate > 0:
            raise ValueError(f"the prober's rate is {self.rate} requests/s; it must be above 0")
        if not self.timeout_s > 0:
            raise ValueError(f"the prober's timeout is {self.timeout_s} s; it must be above 0")

    @property
    def schedule(self) -> Schedule:
        """Return the schedule: which journeys are played, in which order."""
        return Schedule.of(self.service, with_user=self.user is not None)

    def intervals(self) -> Mapping[str, float]:
        """Return the seconds between two requests of each operation, if none fails."""
        return self.schedule.intervals(self.rate)

    @property
    def control(self) -> ProberConfig | None:
        """Return the configuration for the control, None without one. Its marker differs, so that each process finds only its own data."""
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
        """Return how many slow answers may be pending before an arrival waits: the arrivals of one time-out, and 2 spare."""
        return min(256, int(self.rate * self.timeout_s) + 3)

    def to_line(self) -> str:
        """Return one line of JSON, credentials included: for a pipe, never for a log."""
        # The process need not parse the parts that it does not play.
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
            "secrets": provided_secrets(),
            "ledger": self.ledger,
        }
        return json.dumps(values) + "\n"

    @classmethod
    def from_line(cls, line: str) -> ProberConfig:
        """Return the configuration of a line of JSON, and use the secrets in it from now on. Raises ValueError, TypeError or LookupError if it is not one."""
        values = json.loads(line)
        provide_secrets(values.pop("secrets"))
        user, service = values.pop("user"), Service.from_json(values.pop("service"))
        route = Route.from_json(values.pop("route"))
        return cls(user=user and SmokeUser(**user), service=service, route=route, **values)
