"""The evidence of a check: its requests to the release, its values and their limits, its warnings."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

import pytest

from plugins.slow_answers import SlowAnswers
from verification.http.client import Exchange

REQUESTS = "requests"
SAMPLES = "samples"
MEASUREMENT = "measurement"
WARNING = "warning"
ANSWER = "answer"
NOT_ASKED = "not_asked"
EXCHANGE = "exchange"
SERIES = "series"
EXCHANGES_KEPT = 5
"""How many of the last requests of a failed check its report shows."""
_NOT_ASKED = "not asked: "
_SKIPPED = f"Skipped: {_NOT_ASKED}"


@dataclass(frozen=True)
class Measurement:
    """A value, its limit and its number of samples; ``limit`` is None if the value is only for information."""

    name: str
    value: float | str
    limit: float | str | None = None
    unit: str = ""
    samples: int | None = None


OnRecord = Callable[[Exchange, str | None], None]


def _no_harm() -> str | None:
    return None


class _Elsewhere(threading.local):
    """Receives the requests of this thread; None: they belong to the running check."""

    receive: OnRecord | None = None


class Recorder:
    """Collects the evidence of the running check; any thread may add to it."""

    def __init__(self) -> None:
        self.slow = SlowAnswers()
        self._lock = threading.Lock()
        self._elsewhere = _Elsewhere()
        self._requests = 0
        self._answers = 0
        self._shared: dict[str, int] = {}  # by fixture: requests of a measurement that several checks use
        self._measurements: list[Measurement] = []
        self._warnings: list[str] = []
        self._documented: set[str] = set()
        self._left_out: set[str] = set()
        self._last: deque[Exchange] = deque(maxlen=EXCHANGES_KEPT)
        self._series: dict[str, Any] = {}
        self.harm: Callable[[], str | None] = _no_harm
        """Returns why the running check must end, because users are harmed; asked after each of its requests, on the main thread."""

    def exchanged(self, exchange: Exchange, documented: str | None = None) -> None:
        """Count a request of a check's client; with any answer it is also a sample. Raises pytest's Failed if the check must end.

        ``documented`` is the answer's name in the contract, see ``verification.contract.coverage``.
        """
        if self._elsewhere.receive is not None:
            self._elsewhere.receive(exchange, documented)
            return
        self.requested(1)
        with self._lock:
            self._answers += exchange.status is not None
            self._last.append(exchange)
            if documented is not None:
                self._documented.add(documented)
        self.slow.exchanged(exchange)
        if threading.current_thread() is threading.main_thread() and (harm := self.harm()) is not None:
            self.harm = _no_harm  # once: the check's clean-up still sends its requests
            pytest.fail(harm, pytrace=False)

    @contextmanager
    def redirected(self, receive: OnRecord) -> Iterator[None]:
        """Give this thread's requests to ``receive`` instead of the running check: it plays another check ahead."""
        self._elsewhere.receive = receive
        try:
            yield
        finally:
            self._elsewhere.receive = None

    def requested(self, count: int, by: str | None = None) -> None:
        """Count requests that were sent on behalf of a check, for instance by a load generator.

        ``by`` is the fixture that measured; its last count becomes samples of every check that uses the fixture.
        """
        with self._lock:
            self._requests += count
            if by is not None:
                self._shared[by] = count

    def measured(self, measurement: Measurement) -> None:
        """Add a value to the report."""
        with self._lock:
            self._measurements.append(measurement)

    def has_series(self, name: str, data: Any) -> None:
        """Keep a series of measured values, as JSON's types, for the report's picture of that name."""
        with self._lock:
            self._series[name] = data

    def warned(self, text: str) -> None:
        """Add a warning, once for each check; it fails nothing."""
        with self._lock:
            if text not in self._warnings:
                self._warnings.append(text)

    def leave_out(self, reason: str) -> NoReturn:
        """Skip the running check because this run cannot ask it; checks that share the skipped fixture are left out as well."""
        with self._lock:
            self._left_out.add(f"{_SKIPPED}{reason}")
        pytest.skip(f"{_NOT_ASKED}{reason}")

    def hand_over(self, report: pytest.TestReport, fixtures: Collection[str] = ()) -> None:
        """Move the evidence since the last call into the report; xdist sends the report from worker to controller.

        ``fixtures`` are the fixtures that the check uses.
        """
        with self._lock:
            requests, self._requests = self._requests, 0
            samples, self._answers = self._answers, 0
            if report.when == "call":
                samples += sum(self._shared.get(name, 0) for name in fixtures)
            measurements, self._measurements = self._measurements, []
            warnings, self._warnings = self._warnings, []
            documented, self._documented = sorted(self._documented), set()
            last, series, self._series = list(self._last), self._series, {}
            if report.when == "teardown":
                self._last.clear()
        if requests:
            report.user_properties.append((REQUESTS, requests))
        # All reports of an item share one list of properties; a copy prevents counting the same evidence twice.
        report.user_properties = list(report.user_properties)
        if samples:
            report.user_properties.append((SAMPLES, samples))
        report.user_properties.extend((MEASUREMENT, dict(vars(measurement))) for measurement in measurements)
        report.user_properties.extend((WARNING, text) for text in warnings)
        report.user_properties.extend((SERIES, {"name": name, "data": data}) for name, data in series.items())
        if report.failed:
            report.user_properties.extend((EXCHANGE, asdict(exchange)) for exchange in last)
        self.slow.hand_over(report)
        report.user_properties.extend((ANSWER, text) for text in documented)
        if report.skipped and isinstance(report.longrepr, tuple) and report.longrepr[2] in self._left_out:
            report.user_properties.append((NOT_ASKED, report.longrepr[2].removeprefix(_SKIPPED)))


def requests_in(report: pytest.TestReport) -> int:
    """Return how many requests a report has."""
    return _count(report, REQUESTS)


def samples_in(report: pytest.TestReport) -> int:
    """Return how many answers of the release a report has, including those of a measurement that checks share."""
    return _count(report, SAMPLES)


def _count(report: pytest.TestReport, kind: str) -> int:
    return sum(int(str(value)) for name, value in report.user_properties if name == kind)


def warnings_in(report: pytest.TestReport) -> list[str]:
    """Return the warnings of a report's check."""
    return [str(value) for name, value in report.user_properties if name == WARNING]


def answers_in(report: pytest.TestReport) -> list[str]:
    """Return the documented answers that a report's check met."""
    return [str(value) for name, value in report.user_properties if name == ANSWER]


def not_asked_in(report: pytest.TestReport) -> str | None:
    """Return why a skipped check could not be asked; None for any other report."""
    found = (str(value) for name, value in report.user_properties if name == NOT_ASKED)
    return next(found, None) if report.skipped else None


def measurements_in(report: pytest.TestReport) -> list[Measurement]:
    """Return the values of a report."""
    return [Measurement(**value) for value in measurement_data_in(report)]


def measurement_data_in(report: pytest.TestReport) -> list[dict[str, Any]]:
    """Return the values of a report, each with the fields of ``Measurement``."""
    return [value for name, value in report.user_properties if name == MEASUREMENT and isinstance(value, dict)]


def exchanges_in(report: pytest.TestReport) -> list[dict[str, Any]]:
    """Return the last requests of a failed check, each with the fields of ``Exchange``."""
    return [value for name, value in report.user_properties if name == EXCHANGE and isinstance(value, dict)]


def series_in(report: pytest.TestReport) -> dict[str, Any]:
    """Return the series that a check took, by name."""
    found = (value for name, value in report.user_properties if name == SERIES and isinstance(value, dict))
    return {str(one["name"]): one["data"] for one in found}
