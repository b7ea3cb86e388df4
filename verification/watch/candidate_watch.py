"""Watches a candidate that takes some or all of the traffic: decides which colour gave an answer and what to compare it with; pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from verification.prober.samples import Sample
from verification.watch.baseline import Baseline
from verification.watch.slowness import Control
from verification.watch.watch import Watch, WatchLimits


@dataclass(frozen=True)
class Side:
    """A colour, and the version that it must report (None: any)."""

    colour: str
    version: str | None = None


class CandidateWatch:
    """One watch, from one write of the routes to the next.

    ``share``: the candidate takes only a part of the traffic; answers of ``previous`` are correct as well, and show how
    fast the machine is. The colour's header names the colour of an answer, or the version if there is no such header;
    failures that name neither are watched separately. ``control_before``: what the control took before the switch;
    None: there is no control. ``confirmed_at``: when (epoch s) the live domain was seen to answer as the candidate on
    fresh connections. If no header names a generation, fresh answers of the previous version are wrong from then on; a
    kept connection may outlast a switch.
    """

    def __init__(
        self,
        limits: WatchLimits,
        candidate: Side,
        previous: Side,
        generation: int,
        before: Baseline,
        control_before: Baseline | None,
        *,
        share: bool = False,
        confirmed_at: float = math.inf,
    ) -> None:
        self._candidate, self._previous, self._generation = candidate, previous, generation
        self._before, self._control_before, self._share = before, control_before, share
        self._confirmed_at = confirmed_at
        has_control = share or (control_before is not None and bool(control_before.typical_ms))
        self._control = Control(limits.slow) if has_control else None
        named = replace(limits, colour=candidate.colour, version=candidate.version)
        self._watch = Watch(replace(named, generation=generation), before, self._control)
        self._unnamed = Watch(limits)

    @property
    def requests(self) -> int:
        """Return how many of the answers were the candidate's."""
        return self._watch.requests

    @property
    def failures(self) -> int:
        """Return how many of the candidate's answers had failed."""
        return self._watch.failures

    @property
    def excused(self) -> int:
        """Return how often slow answers were excused: see ``Watch``."""
        return self._watch.excused

    @property
    def evidence(self) -> dict[str, float]:
        """Return how near each test of the candidate's answers is to its limit, as a share of it."""
        return self._watch.evidence

    @property
    def harm(self) -> str | None:
        """Return the proof that the candidate harms its users, None while there is none."""
        return self._watch.health.reason or self._unnamed.health.reason

    @property
    def harm_since(self) -> float | None:
        """Return when the evidence of the harm began (epoch s), None without harm."""
        return self._watch.health.since or self._unnamed.health.since

    def feed(self, sample: Sample) -> str | None:
        """Take in one answer of the live domain; return the harm if it is proven."""
        whose = self._whose(sample)
        if whose == self._previous.colour:
            self._of_previous(sample)
        elif whose is None and self._share:
            self._unnamed.feed(sample)
        else:
            self._watch.feed(sample)
        return self.harm

    def feed_control(self, sample: Sample) -> None:
        """Take in one answer of the previous colour at its own address."""
        if self._control is not None and self._control_before is not None:
            self._control.feed(sample, self._control_before)

    def _of_previous(self, sample: Sample) -> None:
        """Take in an answer of the previous colour: a late one of the routes before, or, if both have a share, one to compare with."""
        if self._share and self._control is not None:
            self._control.feed(sample, self._before)
        elif sample.generation == self._generation or (sample.generation is None and self._must_have_arrived(sample)):
            self._watch.feed(sample)  # the routes send every user to the candidate, so this answer is wrong

    def _must_have_arrived(self, sample: Sample) -> bool:
        return sample.kind == "fresh" and sample.at > self._confirmed_at

    def _whose(self, sample: Sample) -> str | None:
        """Return the colour that gave an answer; None if it is unknown."""
        if sample.colour is not None:
            return sample.colour
        for side in (self._candidate, self._previous):
            if sample.version is not None and sample.version == side.version:
                return side.colour
        return None
