"""Decides whether the promoted release is slow or the machine: a sliding count, and the previous colour asked at the same time; pure.

Only timed answers of the previous colour excuse a slow release. If it gives too few in the window, because it answers
errors, hangs or is silent, the release's own limits decide. A few fast answers excuse nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from verification.prober.samples import Sample
from verification.watch.baseline import Baseline
from verification.watch.sequential import by_chance

ENOUGH_CONTROLS = 5
"""With fewer timed answers of the previous colour in the window, the release's own limits decide."""
CHANCE = 1e-4
"""The previous colour does not excuse slowness if, equally slow, it would look this fast only with this probability."""
CHANCE_OF_FEW = 0.01
"""The same, if its answers are too few to reach CHANCE even if all are fast. If all are, they excuse nothing."""
LASTS = 4
"""The finding must persist for this part of a window, because frequent tests find every coincidence once."""
LEAST_MS = 3.0
"""A smaller difference harms no user, whatever the factor."""


@dataclass(frozen=True)
class SlowLimits:
    """Limits of slowness.

    Harm: of the last ``window`` answers more than ``share`` took longer than ``factor`` times their time before the
    switch, or more than half of them took longer than ``max_ms``; and the previous colour was not as slow in the same
    time.
    """

    window: int = 200
    share: float = 0.65
    factor: float = 3.0
    max_ms: float = 1000.0


@dataclass(frozen=True)
class _Slow:
    done: float
    than_before: bool
    than_allowed: bool


def _timed(sample: Sample) -> bool:
    """Return whether an answer's time counts: a refusal is quick and does not show the speed; a missing answer does."""
    return sample.ok or sample.status is None


def _judge(sample: Sample, before: Baseline, limits: SlowLimits) -> _Slow:
    typical, took = before.typical(sample), sample.elapsed_ms
    slower = typical is not None and took > max(limits.factor * typical, typical + LEAST_MS)
    return _Slow(sample.done, slower, took > limits.max_ms)


class Control:
    """The previous colour's answers in the same time, which distinguish a slow release from a slow machine.

    Only good answers count: an error is quick, and a request without an answer does not show how fast the machine is.
    """

    def __init__(self, limits: SlowLimits) -> None:
        self._limits = limits
        self._recent: deque[_Slow] = deque(maxlen=4 * limits.window)

    def feed(self, sample: Sample, before: Baseline) -> None:
        """Take in one of its requests; ``before`` is its baseline before the switch, by the same way."""
        if sample.ok:
            self._recent.append(_judge(sample, before, self._limits))

    def since(self, moment: float) -> list[_Slow]:
        """Return the answers since ``moment`` (epoch s)."""
        return [one for one in self._recent if one.done >= moment]


class Slowness:
    """Takes in each answer of the promoted release and reports when it is slow; ``excused`` counts when the whole machine was slow."""

    def __init__(self, before: Baseline, limits: SlowLimits, control: Control | None) -> None:
        self._before = before
        self._limits = limits
        self._control = control
        self._recent: deque[tuple[Sample, _Slow]] = deque()
        self._than_before = self._than_allowed = 0
        self.excused = 0
        self._in_a_row = 0

    @property
    def began(self) -> float | None:
        """Return when the oldest answer of the window was asked for (epoch s); None before the first."""
        return self._recent[0][0].at if self._recent else None

    @property
    def share(self) -> float:
        """Return the slow answers of the window as a share of those allowed, whether or not the machine excuses them."""
        window = self._limits.window
        return max(self._than_allowed / (window / 2), self._than_before / (self._limits.share * window))

    def feed(self, sample: Sample) -> str | None:
        """Take in one answer; return the problem, None if there is none."""
        if not _timed(sample):
            return None
        judged = _judge(sample, self._before, self._limits)
        self._recent.append((sample, judged))
        self._count(judged, 1)
        if len(self._recent) > self._limits.window:
            self._count(self._recent.popleft()[1], -1)
        if len(self._recent) < self._limits.window:
            return None
        found = self._than_is_allowed() or self._than_it_was(sample)
        self._in_a_row = self._in_a_row + 1 if found else 0
        return found if self._in_a_row >= self._limits.window / LASTS else None

    def _count(self, judged: _Slow, by: int) -> None:
        self._than_before += by * judged.than_before
        self._than_allowed += by * judged.than_allowed

    def _than_is_allowed(self) -> str | None:
        slow, limits = self._than_allowed, self._limits
        if slow <= limits.window / 2:
            return None
        controls = [one.than_allowed for one in self._controls()]
        if not self._its_own(slow, controls):
            return None
        return (
            f"{slow} of the last {limits.window} answers took longer than {limits.max_ms:g} ms, the limit is half of them"
            f"{self._beside(slow, controls)}"
        )

    def _than_it_was(self, sample: Sample) -> str | None:
        slow, limits = self._than_before, self._limits
        if slow <= limits.share * limits.window:
            return None
        controls = [one.than_before for one in self._controls()]
        if not self._its_own(slow, controls):
            return None
        typical = self._before.typical(sample) or 0.0
        return (
            f"{slow} of the last {limits.window} answers took longer than {limits.factor:g} times what they took before the "
            f"switch, the limit is {limits.share:.0%}; the last: {sample.operation} on a {sample.kind} connection, "
            f"{sample.elapsed_ms:.0f} ms, before {typical:.0f} ms{self._beside(slow, controls)}"
        )

    def _controls(self) -> list[_Slow]:
        """Return the previous colour's answers in the time of the window."""
        return self._control.since(self._recent[0][0].at) if self._control else []

    def _its_own(self, slow: int, controls: list[bool]) -> bool:
        """Return whether the release itself is slow.

        The previous colour excuses it only if its answers could have shown the opposite, or some of them are slow, too.
        """
        if len(controls) < ENOUGH_CONTROLS:
            return True
        chance = by_chance(slow, self._limits.window, sum(controls), len(controls))
        own = chance < CHANCE
        if self._too_few(slow, controls):
            own = chance < CHANCE_OF_FEW or not any(controls)
        self.excused += not own
        return own

    def _too_few(self, slow: int, controls: list[bool]) -> bool:
        """Return whether the release could not be proven slower even if all these answers were fast."""
        return by_chance(slow, self._limits.window, 0, len(controls)) >= CHANCE

    def _beside(self, slow: int, controls: list[bool]) -> str:
        """Return what the previous colour shows, as the end of a reason; empty if it was never asked."""
        if self._control is None:
            return ""
        if len(controls) < ENOUGH_CONTROLS:
            return (
                f"; the previous colour gave only {len(controls)} good answers at the same time, so it does not excuse "
                f"the release ({ENOUGH_CONTROLS} are needed)"
            )
        beside = f"; of the previous colour at the same time: {sum(controls)} of {len(controls)}"
        return f"{beside}, too few to excuse the release" if self._too_few(slow, controls) else beside
