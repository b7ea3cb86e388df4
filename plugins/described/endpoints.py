"""Endpoints: each journey, every step as described and as the contract says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx

from plugins.described.checks import check
from plugins.described.fixtures import Player, Side
from verification.journeys.model import Journey, Service


def journeys(service: Service) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """Return each journey as a subject."""
    return [(f"({one.name})", {"journey": one}) for one in service.journeys]


@check("endpoints", "journey", journeys)
def journey_as_described(
    player: Player,
    client: httpx.Client,
    measure: Callable[..., None],
    warn: Callable[[str], None],
    journey: Journey,
) -> None:
    """Every step of the journey is answered as described and as the contract says; `undo` as well."""
    answers = player.play(journey, Side("the release", client), warn)
    measure("answers as described", answers, samples=answers)
