"""Decides which journeys the prober plays, in which order, and how often each operation is sent; pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from verification.journeys.model import Journey, Service

HEALTH_TURNS = (True, False, False, True, False, False, True, False)
"""Three of eight arrivals check the health; the others go on with a journey. If no journey can go on, the health is checked, too."""


@dataclass(frozen=True)
class Schedule:
    """The order of the journeys: ``turns`` is a cycle of positions in ``journeys``.

    Each journey has as many turns as steps, so that no step waits for long.
    """

    health: str
    journeys: tuple[Journey, ...]
    turns: tuple[int, ...]

    @classmethod
    def of(cls, service: Service, *, with_user: bool) -> Schedule:
        """Return the schedule for a service; without a user only journeys that need no session are played."""
        played = service.played_on_live(with_user=with_user)
        journeys = tuple(one for one in played if not _only_health(service, one))
        return cls(service.health.step.operation, journeys, _interleaved([_length(one) for one in journeys]))

    def intervals(self, rate: float) -> Mapping[str, float]:
        """Return the seconds between two requests of an operation, if ``rate`` requests are sent a second and none fails."""
        shares: dict[str, float] = defaultdict(float)
        of_health = sum(HEALTH_TURNS) / len(HEALTH_TURNS) if self.journeys else 1.0
        shares[self.health] += of_health
        for journey in self.journeys:
            for step in (*journey.steps, *journey.undo):
                shares[step.operation] += (1 - of_health) / len(self.turns)
        return {operation: 1 / (rate * share) for operation, share in shares.items()}


def _only_health(service: Service, journey: Journey) -> bool:
    """Return whether a journey only checks the health, which has turns of its own."""
    asked = service.health.step
    return not journey.undo and all((one.request, one.expect) == (asked.request, asked.expect) for one in journey.steps)


def _length(journey: Journey) -> int:
    return len(journey.steps) + len(journey.undo)


def _interleaved(lengths: list[int]) -> tuple[int, ...]:
    """Return each position as often as its length says, spread over the whole."""
    moments = [((turn + 0.5) / length, position) for position, length in enumerate(lengths) for turn in range(length)]
    return tuple(position for _, position in sorted(moments))
