"""Sequential tests, to be evaluated after each request: they find a failure ratio soon and seldom take noise for one. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Hypotheses:
    """Two failure ratios to distinguish: ``good`` is acceptable, ``bad`` is not; ``threshold`` is Wald's ``ln(1 / alpha)``.

    Raises ValueError unless 0 < good < bad < 1 and ``threshold`` is above 0.
    """

    good: float
    bad: float
    threshold: float

    def __post_init__(self) -> None:
        if not 0 < self.good < self.bad < 1 or self.threshold <= 0:
            raise ValueError(
                f"{self.good} and {self.bad} at {self.threshold} cannot be distinguished: expected 0 < good < bad < 1, threshold > 0"
            )


class PageTest:
    """Wald's sequential probability ratio test, restarted whenever it leans to "good" (Page, Biometrika 41 (1954) 100).

    At a ratio of ``good`` a false alarm comes at most once in ``exp(threshold)`` requests (Lorden 1971), at a smaller
    ratio hardly ever; a change to ``bad`` is found as soon as any test of that false-alarm rate can find it
    (Moustakides 1986). ``since`` and ``failures``: the requests, and the failures among them, that form the evidence;
    ``began``: the time of the first of them (epoch s), None without evidence.
    """

    def __init__(self, hypotheses: Hypotheses) -> None:
        self._failure = math.log(hypotheses.bad / hypotheses.good)
        self._success = math.log((1 - hypotheses.bad) / (1 - hypotheses.good))
        self._threshold = hypotheses.threshold
        self._score = 0.0
        self.since = 0
        self.failures = 0
        self.began: float | None = None

    @property
    def share(self) -> float:
        """Return the evidence so far as a share of the threshold, at which it is enough."""
        return self._score / self._threshold

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
    """Return Fisher's exact probability, one-sided, that ``here`` or more of ``of_here`` are slow if both sides are equally slow.

    It is conditional on the total of slow ones and needs no assumption about latencies. 1.0 if one side has no
    requests. Raises ValueError unless 0 <= here <= of_here and 0 <= there <= of_there.
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

    It does not import scipy, which would take a sixth of a second. Raises ValueError unless 0 <= failures <= n and 0 <
    ratio < 1.
    """
    if not (0 <= failures <= n and 0 < ratio < 1):
        raise ValueError(f"{failures} failures of {n} at a ratio of {ratio} make no sense")
    good, bad = math.log1p(-ratio), math.log(ratio)
    return min(1.0, math.fsum(math.exp(_log_choose(n, k) + k * bad + (n - k) * good) for k in range(failures, n + 1)))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
