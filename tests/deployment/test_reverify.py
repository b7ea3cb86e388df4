"""The verified release gets the traffic, and stays the same during the bake.

Failure mode 6: the verified copy is not the serving copy.
"""

from __future__ import annotations

import pytest

from deployment.errors import CloudUnreachable, StepFailed
from deployment.model import Answer
from tests.deployment.fakes import GREEN, NEW, OLD
from tests.deployment.harness import GATES, Deployment


@pytest.mark.parametrize("change", ["digest", "configuration", "stopped"])
def test_changed_candidate_fails_the_bake(one: Deployment, change: str) -> None:
    """A candidate with another digest or configuration is not the one that the gates verified."""
    one.to_verified()
    one.machine.promote(GATES)
    green = one.cloud.sides[GREEN]
    if change == "configuration":
        green.configuration = "changed since"
    elif change == "digest":
        green.image = OLD
    else:
        green.running = False
    with pytest.raises(StepFailed, match="verified"):
        one.machine.bake(lambda: None)


def test_unreachable_platform_during_the_bake_is_no_harm(one: Deployment) -> None:
    one.to_verified()
    one.machine.promote(GATES)
    one.cloud.constant_errors["describe"] = CloudUnreachable("gone")
    one.machine.bake(lambda: None)
    assert "check_failed" in one.journal_kinds()


def test_one_old_instance_among_many_prevents_the_switch(one: Deployment) -> None:
    one.to_verified()
    asked: list[int] = []

    def ask(times: int, url: str | None = None) -> list[Answer]:
        asked.append(times)
        assert url == "https://green.test"
        return [Answer(True, version=NEW.version)] * (times - 1) + [Answer(True, version=OLD.version)]

    one.front.ask = ask  # type: ignore[method-assign]
    with pytest.raises(StepFailed, match=r"version '1\.0\.0', answer 140 of 140"):
        one.machine.promote(GATES)
    assert asked == [140]
