"""Requests of a journey that the release must refuse. Data that an accepted one wrote is recorded, and removed at once if possible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import httpx

from plugins.described.fixtures import Player
from verification.http.client import Received
from verification.journeys.expectations import capturable
from verification.journeys.issuers import TokenNotIssued
from verification.journeys.ledger import Entry
from verification.journeys.leftovers import removal
from verification.journeys.model import Journey, Step
from verification.journeys.placeholders import Values, names_in
from verification.journeys.player import prepare


@dataclass(frozen=True)
class Attempt:
    """A step of a journey as it is sent with ``headers`` instead of those of the journey's session.

    ``values``: those of the run so far. ``invented``: values of placeholders that the run has not captured.
    """

    journey: Journey
    step: Step
    values: Values = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    invented: Mapping[str, Any] = field(default_factory=dict)

    @property
    def writes(self) -> bool:
        """Return whether the request could create data; one of ``undo`` only removes."""
        request = self.step.request
        return request.writes and request.method != "DELETE" and self.step in self.journey.steps

    @property
    def removing(self) -> Journey:
        """Return the journey with only those ``undo`` steps that need a value of the step's answer, if it has such ones."""
        names, own = set(self.step.capture), []
        for step in self.journey.undo:
            if names & names_in(asdict(step.request)):
                own.append(step)
                names.update(step.capture)
        return replace(self.journey, undo=tuple(own) or self.journey.undo)


def must_be_refused(player: Player, client: httpx.Client, attempt: Attempt, what: str, *statuses: int) -> None:
    """Send an attempt; raise ContractViolation unless its answer has one of these statuses.

    Data that an accepted attempt wrote is removed, or stays in the run's ledger with a warning. Raises
    ``httpx.TransportError``.
    """
    step, values = attempt.step, attempt.values
    known = {name: value for name, value in values.captured.items() if name not in step.capture}
    written = values.with_captured(known)
    entry = player.deployment.ledger.entry(attempt.journey) if attempt.writes else Entry()
    if attempt.writes:
        entry.begin(written, attempt.headers)
    sent = values.with_captured({**attempt.invented, **values.captured})
    response = player.send(client, prepare(step, sent, attempt.headers))
    if attempt.writes and 400 <= response.status_code < 500:
        entry.close()
    elif attempt.writes:
        written.learn(capturable(step.capture, Received(response)))
        entry.learned(written)
        _clear(player, client, attempt, written, entry)
    player.refused(response, what, *statuses)


def _clear(player: Player, client: httpx.Client, attempt: Attempt, written: Values, entry: Entry) -> None:
    """Remove what an accepted attempt wrote, as the user or else as the attempt was sent; keep it in the ledger if that fails."""
    journey = attempt.removing
    known = not removal(journey, written).finished
    if known and any(_removed(player, client, journey, written, one) for one in _ways(player, client, attempt)):
        entry.close()
        return
    if not known and journey.sweep is None:
        entry.close()  # nothing could find it
    player.deployment.recorder.warned(
        f"{attempt.step.operation} may have written data although it must be refused, and the check could not remove it; "
        "the end of the run tries again with what the run's ledger has of it. Look for it in the service"
    )


def _ways(player: Player, client: httpx.Client, attempt: Attempt) -> Iterator[Mapping[str, str]]:
    with suppress(AssertionError, TokenNotIssued, httpx.TransportError):
        yield player.headers(client, attempt.journey)
    yield attempt.headers


def _removed(
    player: Player, client: httpx.Client, journey: Journey, written: Values, headers: Mapping[str, str]
) -> bool:
    """Send the ``undo`` steps; return whether each request that removes was accepted: 404 may be a lack of rights."""
    play, removed = removal(journey, written.with_captured(written.captured)), False
    while (step := play.next()) is not None:
        prepared = play.prepare(headers)
        try:
            response = player.send(client, prepared)
        except httpx.TransportError:
            return False
        if step.request.writes and not response.is_success:
            return False
        removed = removed or step.request.writes
        play.learn(prepared, Received(response), quote=False)
    return removed
