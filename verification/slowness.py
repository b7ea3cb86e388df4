"""Is the promoted release slow, or is it the machine? A sliding count, and the previous colour asked at the same time; pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from verification.baseline import Baseline
from verification.samples import Sample
from verification.sequential import by_chance

ENOUGH_CONTROLS = 5
CHANCE = 1e-4
"""So improbable must it be that the previous colour is as slow and by luck did not look it."""
LASTS = 4
"""What was found must go on being found for this part of a window: looking again and again finds every coincidence once."""
LEAST_MS = 3.0
"""A difference that is smaller than this is nobody's harm, whatever the factor."""


@dataclass(frozen=True)
class SlowLimits:
    """Harm: of the last ``window`` answers more than ``share`` took longer than ``factor`` times what they used to, or more
    than half of them longer than ``max_ms``; and the previous colour was not as slow in that very time."""

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
    """A refusal comes quickly and says nothing about speed; an answer that never came does."""
    return sample.ok or sample.status is None


def _judge(sample: Sample, before: Baseline, limits: SlowLimits) -> _Slow:
    typical, took = before.typical(sample), sample.elapsed_ms
    slower = typical is not None and took > max(limits.factor * typical, typical + LEAST_MS)
    return _Slow(sample.done, slower, took > limits.max_ms)


class Control:
    """The previous colour's answers in the same time, which tell a slow release from a slow machine.

    ``lost``: it cannot be asked (any more); then the release's own answers decide alone.
    """

    def __init__(self, limits: SlowLimits) -> None:
        self._limits = limits
        self._recent: deque[_Slow] = deque(maxlen=4 * limits.window)
        self.lost = False

    def feed(self, sample: Sample, before: Baseline) -> None:
        """Takes in one of its answers; ``before`` is what it took the same way before the switch."""
        if _timed(sample):
            self._recent.append(_judge(sample, before, self._limits))

    def since(self, moment: float) -> list[_Slow]:
        """What was answered from then on."""
        return [one for one in self._recent if one.done >= moment]


class Slowness:
    """Fed with each answer of the promoted release, says when it is slow; ``excused`` counts when all of the machine was."""

    def __init__(self, before: Baseline, limits: SlowLimits, control: Control | None) -> None:
        self._before = before
        self._limits = limits
        self._control = control
        self._recent: deque[tuple[Sample, _Slow]] = deque()
        self._than_before = self._than_allowed = 0
        self.excused = 0
        self._in_a_row = 0

    def feed(self, sample: Sample) -> str | None:
        """Takes in one answer; what is wrong, None where nothing is."""
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
        if slow <= limits.window / 2 or not self._its_own(slow, [one.than_allowed for one in self._controls()]):
            return None
        return f"{slow} of the last {limits.window} answers took longer than {limits.max_ms:g} ms, the limit is half of them"

    def _than_it_was(self, sample: Sample) -> str | None:
        slow, limits = self._than_before, self._limits
        if slow <= limits.share * limits.window or not self._its_own(
            slow, [one.than_before for one in self._controls()]
        ):
            return None
        typical = self._before.typical(sample) or 0.0
        return (
            f"{slow} of the last {limits.window} answers took longer than {limits.factor:g} times what they took before the "
            f"switch, the limit is {limits.share:.0%}; the last: {sample.operation} on a {sample.kind} connection, "
            f"{sample.elapsed_ms:.0f} ms, before {typical:.0f} ms{self._beside()}"
        )

    def _controls(self) -> list[_Slow]:
        """The previous colour's answers of the window's time."""
        if self._control is None or self._control.lost:
            return []
        return self._control.since(self._recent[0][0].at)

    def _its_own(self, slow: int, controls: list[bool]) -> bool:
        """Whether it is the release's own slowness, for all that the previous colour shows."""
        if self._control is None or self._control.lost:
            return True
        own = (
            len(controls) >= ENOUGH_CONTROLS
            and by_chance(slow, self._limits.window, sum(controls), len(controls)) < CHANCE
        )
        self.excused += not own
        return own

    def _beside(self) -> str:
        controls = self._controls()
        slow = sum(one.than_before for one in controls)
        return f"; of the previous colour at the same time: {slow} of {len(controls)}" if controls else ""
