"""After a switch: does what the live domain's users get still look well, or must traffic go back? Pure; fed sample by sample."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from verification.samples import Sample
from verification.statistics import failure_bounds, percentile


@dataclass(frozen=True)
class WatchLimits:
    """What counts as harm. The defaults are weighed against false alarms in ``benchmarks/watch_false_alarms.py``.

    Gross failure: ``consecutive`` failures in a row, or ``window_failures`` in the last ``window`` samples. Slow failure: the
    lower bound of the ratio since the switch, at ``confidence``, is above ``max_failure_ratio``. Identity: ``wrong_identities``
    answers of ``generation`` (None: of any) by another version or colour than the expected (None: not compared). Latency:
    the median of the last ``latency_window`` samples is above ``max_median_ms``.
    """

    version: str | None = None
    colour: str | None = None
    generation: int | None = None
    consecutive: int = 3
    ratio_from: int = 100
    window: int = 20
    window_failures: int = 4
    max_failure_ratio: float = 0.01
    confidence: float = 0.99
    wrong_identities: int = 2
    latency_window: int = 40
    max_median_ms: float = 1000.0


@dataclass(frozen=True)
class Health:
    """What the watch says. ``reason`` is None exactly when not ``harmed``; ``at`` is when the deciding sample was done (epoch s)."""

    harmed: bool
    reason: str | None = None
    at: float | None = None


HEALTHY = Health(harmed=False)


class Watch:
    """Feed it each sample since the switch, in the order of arrival. Harm, once seen, stays harm."""

    def __init__(self, limits: WatchLimits) -> None:
        self._limits = limits
        self._health = HEALTHY
        self._requests = 0
        self._failures = 0
        self._in_a_row = 0
        self._wrong = 0
        self._recent: deque[bool] = deque(maxlen=limits.window)
        self._times: deque[float] = deque(maxlen=limits.latency_window)

    @property
    def health(self) -> Health:
        """As of the last sample."""
        return self._health

    @property
    def requests(self) -> int:
        """How many samples it was fed: a watch that saw nothing has not seen that all is well."""
        return self._requests

    @property
    def failures(self) -> int:
        """How many of them had failed."""
        return self._failures

    def feed(self, sample: Sample) -> Health:
        """Takes in one sample and says how things stand."""
        self._count(sample)
        if not self._health.harmed:
            reason = self._identity(sample) or self._gross(sample) or self._ratio(sample) or self._latency()
            if reason is not None:
                self._health = Health(harmed=True, reason=reason, at=sample.done)
        return self._health

    def _count(self, sample: Sample) -> None:
        self._requests += 1
        self._failures += not sample.ok
        self._in_a_row = 0 if sample.ok else self._in_a_row + 1
        self._recent.append(sample.ok)
        self._times.append(sample.elapsed_ms)

    def _identity(self, sample: Sample) -> str | None:
        limits = self._limits
        if sample.status is None or (limits.generation is not None and sample.generation != limits.generation):
            return None
        wrong = [
            f"{what} {got}, expected {expected}"
            for what, got, expected in (
                ("version", sample.version, limits.version),
                ("colour", sample.colour, limits.colour),
            )
            if got is not None and expected is not None and got != expected
        ]
        self._wrong += bool(wrong)
        if not wrong or self._wrong < limits.wrong_identities:
            return None
        return f"{self._wrong} answers by {' and '.join(wrong)}"

    def _gross(self, sample: Sample) -> str | None:
        limits = self._limits
        if self._in_a_row >= limits.consecutive:
            return f"{self._in_a_row} failures in a row, the last: {_what(sample)}"
        failed = len(self._recent) - sum(self._recent)
        if failed >= limits.window_failures:
            return f"{failed} failures in the last {len(self._recent)} requests, the last: {_what(sample)}"
        return None

    def _ratio(self, sample: Sample) -> str | None:
        limits = self._limits
        # The bound is computed for a failure alone, or when it first may decide: with each success the ratio falls.
        if self._requests < limits.ratio_from or (sample.ok and self._requests != limits.ratio_from):
            return None
        # One-sided: each tail of the two-sided interval at 98 % holds 1 %.
        bounds = failure_bounds(self._failures, self._requests, 2 * limits.confidence - 1)
        if bounds.low <= limits.max_failure_ratio:
            return None
        return (
            f"{self._failures} of {self._requests} requests failed: at least {bounds.low:.2%} at {limits.confidence:.0%} "
            f"confidence, limit {limits.max_failure_ratio:.2%}; the last: {_what(sample)}"
        )

    def _latency(self) -> str | None:
        limits = self._limits
        if len(self._times) < limits.latency_window:
            return None
        median = percentile(sorted(self._times), 50)
        if median <= limits.max_median_ms:
            return None
        return f"median of the last {len(self._times)} requests {median:.0f} ms, limit {limits.max_median_ms:.0f} ms"


def _what(sample: Sample) -> str:
    return f"{sample.operation} on a {sample.kind} connection, {sample.problem}"
