"""The traffic's watch as the machine asks it while the candidate has a share of the traffic."""

from __future__ import annotations

import time

from deployment.strategy import Shift
from plugins.traffic import TrafficMonitor
from verification.vigil import Side


class TrafficCanaryWatch:
    """See ``deployment.flow.canary.Share``."""

    def __init__(self, traffic: TrafficMonitor, candidate: Side, previous: Side) -> None:
        self._traffic, self._candidate, self._previous = traffic, candidate, previous

    def begin(self, shift: Shift, generation: int, since: float) -> None:
        """A new watch, of the candidate's own answers."""
        share = shift.weight / 100
        self._traffic.watch_candidate(self._candidate, self._previous, generation=generation, since=since, share=share)

    def whole(self, generation: int, since: float) -> None:
        """From ``since`` on everybody's answers are to be the candidate's, and it was just seen that they are."""
        self._traffic.watch_candidate(
            self._candidate, self._previous, generation=generation, since=since, confirmed_at=time.time()
        )

    def harm(self) -> str | None:
        """Proof that the candidate harms its users."""
        return self._traffic.harm()

    @property
    def seen(self) -> tuple[int, int]:
        """Its requests in this step, and how many of them failed."""
        return self._traffic.seen
