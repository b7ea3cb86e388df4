"""Tests that may be asked after each request: how soon a failure ratio shows, and how seldom noise looks like one. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Hypotheses:
    """Failure ratios to be told apart: ``good`` may be, ``bad`` may not; ``threshold`` is Wald's ``ln(1 / alpha)``.

    Raises ValueError unless 0 < good < bad < 1.
    """

    good: float
    bad: float
    threshold: float

    def __post_init__(self) -> None:
        if not 0 < self.good < self.bad < 1 or self.threshold <= 0:
            raise ValueError(f"{self.good} and {self.bad} at {self.threshold} cannot be told apart")


class PageTest:
    """Wald's sequential probability ratio test, begun anew whenever it leans to "good" (Page, Biometrika 41 (1954) 100).

    At a ratio of ``good`` a false alarm comes once in ``exp(threshold)`` requests at the most (Lorden 1971), at a smaller
    one hardly ever; a change to ``bad`` is found as soon as any test of that false-alarm rate can find it (Moustakides 1986).
    ``since`` and ``failures``: the requests, and the failures among them, that the evidence consists of; ``began``: the time of
    the first of them (epoch s), None while there is no evidence.
    """

    def __init__(self, hypotheses: Hypotheses) -> None:
        self._failure = math.log(hypotheses.bad / hypotheses.good)
        self._success = math.log((1 - hypotheses.bad) / (1 - hypotheses.good))
        self._threshold = hypotheses.threshold
        self._score = 0.0
        self.since = 0
        self.failures = 0
        self.began: float | None = None

    def feed(self, failed: bool, at: float | None = None) -> bool:
        """Take in one request, sent ``at`` (epoch s); return whether the evidence is enough."""
        self._score += self._failure if failed else self._success
        if self._score <= 0:
            self._score, self.since, self.failures, self.began = 0.0, 0, 0, None
            return False
        if self.since == 0:
            self.began = at
        self.since += 1
        self.failures += failed
        return self._score >= self._threshold


def by_chance(here: int, of_here: int, there: int, of_there: int) -> float:
    """Fisher's exact test, one-sided: how probable it is that ``here`` of ``of_here`` are slow where both are equally slow.

    Conditional on how many are slow in all; needs no assumption about latencies. 1.0 where one of them has none.
    Raises ValueError where the numbers make no sense.
    """
    if not (0 <= here <= of_here and 0 <= there <= of_there):
        raise ValueError(f"{here} of {of_here} and {there} of {of_there} make no sense")
    slow = here + there
    total = _log_choose(of_here + of_there, slow)
    most = min(of_here, slow)
    return min(
        1.0,
        math.fsum(
            math.exp(_log_choose(of_here, k) + _log_choose(of_there, slow - k) - total)
            for k in range(here, most + 1)
            if slow - k <= of_there
        ),
    )


def at_least_by_chance(failures: int, n: int, ratio: float) -> float:
    """Return the probability of ``failures`` or more of ``n`` requests if each fails with probability ``ratio`` (binomial).

    Needs no scipy, whose import takes a sixth of a second. Raises ValueError where the numbers make no sense.
    """
    if not (0 <= failures <= n and 0 < ratio < 1):
        raise ValueError(f"{failures} failures of {n} at a ratio of {ratio} make no sense")
    good, bad = math.log1p(-ratio), math.log(ratio)
    return min(1.0, math.fsum(math.exp(_log_choose(n, k) + k * bad + (n - k) * good) for k in range(failures, n + 1)))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
