"""Evidence: what a check asked of the release, and which values it compared with which limits."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass

import pytest

from verification.http import Exchange

REQUESTS = "requests"
MEASUREMENT = "measurement"


@dataclass(frozen=True)
class Measurement:
    """One value against its limit, and how many samples it stands on; ``limit`` None where it is for information."""

    name: str
    value: float | str
    limit: float | str | None = None
    unit: str = ""
    samples: int | None = None


class Recorder:
    """Collects the evidence of the check that runs; any thread may add to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests = 0
        self._measurements: list[Measurement] = []

    def exchanged(self, _exchange: Exchange) -> None:
        """One request of a check's client."""
        self.requested(1)

    def requested(self, count: int) -> None:
        """Requests that somebody else made for a check, a load generator for instance."""
        with self._lock:
            self._requests += count

    def measured(self, measurement: Measurement) -> None:
        """A value worth showing in the report."""
        with self._lock:
            self._measurements.append(measurement)

    def hand_over(self, report: pytest.TestReport) -> None:
        """Moves what was collected since the last time into the report, which also travels from worker to controller."""
        with self._lock:
            requests, self._requests = self._requests, 0
            measurements, self._measurements = self._measurements, []
        if requests:
            report.user_properties.append((REQUESTS, requests))
        # Items share their list of properties with all their reports; what was handed over must not be counted again.
        report.user_properties = list(report.user_properties)
        report.user_properties.extend((MEASUREMENT, asdict(measurement)) for measurement in measurements)


def requests_in(report: pytest.TestReport) -> int:
    """How many requests a report carries."""
    return sum(int(str(value)) for name, value in report.user_properties if name == REQUESTS)


def measurements_in(report: pytest.TestReport) -> list[Measurement]:
    """The values that a report carries."""
    return [
        Measurement(**value)
        for name, value in report.user_properties
        if name == MEASUREMENT and isinstance(value, dict)
    ]
