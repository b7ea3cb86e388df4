"""Measures what the live domain gave its users before the switch, for each operation and connection kind; pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from verification.prober.samples import Sample
from verification.statistics import percentile

Cell = tuple[str, str]
ENOUGH = 8
"""Samples needed of an operation and connection kind. With fewer, both kinds of the operation are used, then all samples."""
UNHURRIED = 25.0
"""The percentile that represents an answer of an idle machine: the time before the switch had load as well."""


@dataclass(frozen=True)
class Baseline:
    """``requests`` and ``failures`` before the switch; ``typical_ms`` is the time of an unhurried answer, by cell."""

    requests: int = 0
    failures: int = 0
    typical_ms: Mapping[Cell, float] = field(default_factory=dict)

    @property
    def failure_ratio(self) -> float:
        """Return the ratio of failed requests; 0 without requests."""
        return self.failures / self.requests if self.requests else 0.0

    def typical(self, sample: Sample) -> float | None:
        """Return what such a request took before the switch (ms); None if no comparable request was sent."""
        for cell in ((sample.operation, sample.kind), (sample.operation, ""), ("", "")):
            if cell in self.typical_ms:
                return self.typical_ms[cell]
        return None


def baseline(samples: Iterable[Sample]) -> Baseline:
    """Return the baseline of the samples before the switch."""
    requests = failures = 0
    times: dict[Cell, list[float]] = defaultdict(list)
    for sample in samples:
        requests += 1
        failures += not sample.ok
        if sample.ok:
            for cell in ((sample.operation, sample.kind), (sample.operation, ""), ("", "")):
                times[cell].append(sample.elapsed_ms)
    typical = {cell: percentile(sorted(seen), UNHURRIED) for cell, seen in times.items() if len(seen) >= ENOUGH}
    return Baseline(requests, failures, typical)
