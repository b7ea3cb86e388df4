"""Evidence: what a check asked of the release, and which values it compared with which limits."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import asdict, dataclass

import pytest

from verification.http import Exchange

REQUESTS = "requests"
SAMPLES = "samples"
MEASUREMENT = "measurement"
WARNING = "warning"


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
        self._answers = 0
        self._shared: dict[str, int] = {}  # by fixture: requests of a measurement that several checks stand on
        self._measurements: list[Measurement] = []
        self._warnings: list[str] = []

    def exchanged(self, exchange: Exchange) -> None:
        """One request of a check's client; a sample if it was answered, whatever the answer."""
        self.requested(1)
        with self._lock:
            self._answers += exchange.status is not None

    def requested(self, count: int, by: str | None = None) -> None:
        """Requests that somebody else made for a check, a load generator for instance.

        ``by`` is the fixture whose last measurement they are: samples of every check that asks for it.
        """
        with self._lock:
            self._requests += count
            if by is not None:
                self._shared[by] = count

    def measured(self, measurement: Measurement) -> None:
        """A value worth showing in the report."""
        with self._lock:
            self._measurements.append(measurement)

    def warned(self, text: str) -> None:
        """Something that decides nothing, and that nobody should overlook."""
        with self._lock:
            self._warnings.append(text)

    def hand_over(self, report: pytest.TestReport, fixtures: Collection[str] = ()) -> None:
        """Moves what was collected since the last time into the report, which also travels from worker to controller.

        ``fixtures`` are those that the check asks for.
        """
        with self._lock:
            requests, self._requests = self._requests, 0
            samples, self._answers = self._answers, 0
            if report.when == "call":
                samples += sum(self._shared.get(name, 0) for name in fixtures)
            measurements, self._measurements = self._measurements, []
            warnings, self._warnings = self._warnings, []
        if requests:
            report.user_properties.append((REQUESTS, requests))
        # Items share their list of properties with all their reports; what was handed over must not be counted again.
        report.user_properties = list(report.user_properties)
        if samples:
            report.user_properties.append((SAMPLES, samples))
        report.user_properties.extend((MEASUREMENT, asdict(measurement)) for measurement in measurements)
        report.user_properties.extend((WARNING, text) for text in warnings)


def requests_in(report: pytest.TestReport) -> int:
    """How many requests a report carries."""
    return _count(report, REQUESTS)


def samples_in(report: pytest.TestReport) -> int:
    """How many answers of the release a report carries, those of a measurement included that the check shares with others."""
    return _count(report, SAMPLES)


def _count(report: pytest.TestReport, kind: str) -> int:
    return sum(int(str(value)) for name, value in report.user_properties if name == kind)


def warnings_in(report: pytest.TestReport) -> list[str]:
    """What a report's check has warned of."""
    return [str(value) for name, value in report.user_properties if name == WARNING]


def measurements_in(report: pytest.TestReport) -> list[Measurement]:
    """The values that a report carries."""
    return [
        Measurement(**value)
        for name, value in report.user_properties
        if name == MEASUREMENT and isinstance(value, dict)
    ]
