"""Health: the release is up, is the expected one, and stays so; always a window of answers, never a single one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest

from plugins.described.checks import check
from plugins.described.fixtures import JourneyFailed, Player
from plugins.stages import LOADED
from plugins.state import Release
from verification.http.client import Received
from verification.journeys import expectations
from verification.journeys.player import prepare

Measure = Callable[..., None]
Limits = Mapping[str, Any]


@check("health", "comes up")
def comes_up(player: Player, client: httpx.Client, limits: Limits, measure: Measure) -> None:
    """Within `attempts` tries, `interval` seconds apart, it answers as described for the first time."""
    problem = ""
    for attempt in range(1, limits["attempts"] + 1):
        try:
            player.probe(player.service.health.step, client)
        except (JourneyFailed, httpx.TransportError) as error:
            problem = str(error)
        else:
            measure("attempts until healthy", attempt, limit=limits["attempts"])
            return
        if attempt < limits["attempts"]:
            time.sleep(limits["interval"])
    raise AssertionError(f"not healthy in {limits['attempts']} attempts; the last: {problem}")


@check("health", "stays up on fresh connections")
@pytest.mark.samples("consecutive")
def stays_up(player: Player, fresh_client: httpx.Client, limits: Limits, measure: Measure) -> None:
    """`consecutive` answers in a row, over `window` seconds or more, are as described, each on a connection of its own."""
    count, began = limits["consecutive"], time.monotonic()
    for number in range(1, count + 1):
        # Evenly spaced, so that intermittent faults of every rhythm are seen.
        time.sleep(max(0.0, began + (number - 1) * limits["window"] / count - time.monotonic()))
        try:
            player.probe(player.service.health.step, fresh_client)
        except JourneyFailed as problem:
            measure("healthy answers in a row", number - 1, limit=count, samples=number)
            seconds = time.monotonic() - began
            raise AssertionError(f"answer {number} of {count}, after {seconds:.1f} s: {problem}") from None
    measure("healthy answers in a row", count, limit=count, samples=count)


@check("health", "answers as described on a kept connection")
@pytest.mark.samples("consecutive")
def answers_as_described(player: Player, client: httpx.Client, limits: Limits, measure: Measure) -> None:
    """Status, body and contract hold in each of `consecutive` answers on a kept connection."""
    count, problems = limits["consecutive"], []
    for _ in range(count):
        try:
            player.probe(player.service.health.step, client)
        except JourneyFailed as problem:
            problems.append(str(problem))
    measure("answers as described", count - len(problems), limit=count, samples=count)
    assert not problems, f"{len(problems)} of {count} answers: {problems[0]}"


def version_of(player: Player, response: httpx.Response) -> str:
    """Return the version that an answer names; ``none`` if it names none."""
    return expectations.version_of(player.service.health, Received(response)) or "none"


def _names_its_version(
    player: Player, fresh_client: httpx.Client, candidate: Release, limits: Limits, measure: Measure
) -> None:
    """Fail with how many of `identity` answers, each on a connection of its own, name another version."""
    count = limits["identity"]
    if player.service.health.version is None:
        player.probe(player.service.health.step, fresh_client)
        measure("version", "not asked: the answers name none; the platform reports the digest")
        return
    step, versions = player.service.health.step, []
    for _ in range(count):
        # As all other requests of health, and without the cookies of the answers before: a load balancer's would lead to one instance.
        asked = prepare(step, player.deployment.values(None), {})
        versions.append(version_of(player, player.send(fresh_client, asked)))
    expected = candidate.version or versions[0]  # an address alone (--base-url) has no version to expect
    measure("version", ", ".join(sorted(set(versions))), limit=expected, samples=count)
    others = ", ".join(sorted(set(versions) - {expected}))
    assert not others, (
        f"version {others} in {count - versions.count(expected)} of {count} answers on fresh connections, expected {expected}; "
        f"again: for i in $(seq {count}); do curl -s {fresh_client.base_url.join(asked.path)}; echo; done | sort | uniq -c"
    )


@check("health", "is the expected version")
def is_the_expected_version(
    player: Player, fresh_client: httpx.Client, candidate: Release, limits: Limits, measure: Measure
) -> None:
    """The release that was asked for answers on every connection: no instance of another one is left."""
    _names_its_version(player, fresh_client, candidate, limits, measure)


@check("health", "is still the expected version after the load", when=LOADED)
def is_still_the_expected_version(
    player: Player, fresh_client: httpx.Client, candidate: Release, limits: Limits, measure: Measure
) -> None:
    """Instances that were added, replaced or rolled back under the load are the same release."""
    _names_its_version(player, fresh_client, candidate, limits, measure)
