"""Finds what a journey wrote and did not remove: entries with the run's marker, and the steps that remove them; without I/O."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from verification.journeys.expectations import Answer, NotCaptured, body_problems, captured_from, value_at
from verification.journeys.ledger import Entry
from verification.journeys.model import Journey, Sweep
from verification.journeys.patterns import PatternTooSlow
from verification.journeys.placeholders import Values
from verification.journeys.player import Play


def removal(journey: Journey, values: Values, entry: Entry | None = None) -> Play:
    """Return a play of the ``undo`` steps that remove something, or capture what such a step needs.

    ``values`` holds the captured values. ``entry``: the lines in the run's ledger of the play that wrote them.
    """
    undo = tuple(step for step in journey.undo if step.request.writes or step.capture)
    play = Play(replace(journey, steps=(), undo=undo), values, entry)
    play.abandon()  # an entry that is already gone is not a failure
    return play


def swept(sweep: Sweep, values: Values, answer: Answer) -> list[dict[str, Any]]:
    """Return the values that the ``undo`` steps need, for each entry in the answer to ``sweep`` that this run wrote.

    ``values`` holds the run's marker. Raises NotCaptured if the answer has no such list, or if a pattern takes too long.
    """
    if answer.status not in sweep.step.expect.statuses:
        raise NotCaptured(f"status {answer.status}, expected {' or '.join(map(str, sweep.step.expect.statuses))}")
    try:
        entries = value_at(sweep.items, json.loads(answer.body))
    except (ValueError, RecursionError) as error:
        raise error if isinstance(error, NotCaptured) else NotCaptured("the body is not JSON") from None
    if not isinstance(entries, list):
        raise NotCaptured(f"{sweep.items} is not a list")
    where = values.fill(sweep.where)
    try:
        return [captured_from(sweep.capture, entry) for entry in entries if not any(body_problems(where, entry))]
    except PatternTooSlow as slow:
        raise NotCaptured(slow.without_answer) from None
