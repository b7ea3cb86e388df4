"""Promotion strategies: traffic moves to the promoted release all at once, or a share of it first."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from deployment.errors import SettingsError

AT_ONCE = "all-at-once"
_FORM = re.compile(r"(canary|linear):(.+)")
_STEP = re.compile(r"(\d{1,3})%,(\d{1,5}(?:\.\d+)?)(s|m)")
_SECONDS = {"s": 1.0, "m": 60.0}
LONGEST_S = 86400.0
MOST_STEPS = 50
HINT = "Give all-at-once, canary:10%,60s (more steps: canary:5%,60s,25%,5m), or linear:20%,30s."


@dataclass(frozen=True)
class Shift:
    """One step of a strategy: the candidate takes ``weight`` percent of the traffic for ``seconds``."""

    weight: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.weight} % for {self.seconds:g} s"


@dataclass(frozen=True)
class Strategy:
    """The shifts before all traffic goes to the candidate; none means all at once.

    ``text`` is the strategy as it was written.
    """

    text: str = AT_ONCE
    shifts: tuple[Shift, ...] = ()

    def __str__(self) -> str:
        return ", then ".join([*map(str, self.shifts), "all of it"])


def parse(text: str) -> Strategy:
    """Parse ``all-at-once``, ``canary:10%,60s`` (more steps may follow, each larger), ``linear:20%,30s``.

    Raises SettingsError.
    """
    if text == AT_ONCE:
        return Strategy()
    form = _FORM.fullmatch(text)
    if form is None:
        raise SettingsError(f"{text!r} is not a strategy", hint=HINT)
    shifts = [_shift(text, one) for one in re.split(r",(?=\d+%)", form[2])]
    if form[1] == "linear":
        if len(shifts) > 1:
            raise SettingsError(f"strategy {text!r}: linear takes exactly one step, which is repeated", hint=HINT)
        step, seconds = shifts[0].weight, shifts[0].seconds
        shifts = [Shift(weight, seconds) for weight in range(step, 100, step)]
    if any(later.weight <= earlier.weight for earlier, later in pairwise(shifts)):
        raise SettingsError(f"strategy {text!r}: each step must be larger than the one before", hint=HINT)
    if len(shifts) > MOST_STEPS:
        raise SettingsError(f"strategy {text!r} has {len(shifts)} steps, at most {MOST_STEPS} are allowed", hint=HINT)
    return Strategy(text, tuple(shifts))


def _shift(text: str, step: str) -> Shift:
    match = _STEP.fullmatch(step)
    if match is None:
        raise SettingsError(f"strategy {text!r}: {step!r} is not a step", hint=HINT)
    weight, seconds = int(match[1]), float(match[2]) * _SECONDS[match[3]]
    if not 1 <= weight <= 99:
        raise SettingsError(f"strategy {text!r}: a share must be 1 % to 99 %, not {weight} %", hint=HINT)
    if not 0 < seconds <= LONGEST_S:
        raise SettingsError(
            f"strategy {text!r}: a step must take more than 0 s and at most {LONGEST_S:g} s, not {seconds:g} s",
            hint=HINT,
        )
    return Shift(weight, seconds)
