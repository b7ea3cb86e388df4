"""`rollback --redeploy` deploys the previous release again if, and only if, a later run has used up the way back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployment.errors import Refused
from deployment.model import Caller
from deployment.settings import Settings
from infrastructure.compose import Environment
from scripts.commands import rollback
from tests.checkout import CHECKOUT
from tests.deployment.fakes import NEW, OLD, FakeRegistry
from tests.deployment.harness import LIMITS, Deployment
from tests.deployment.test_way_back import attempt
from verification.journeys.accounts import SmokeUser

SETTINGS = Settings("test", LIMITS, {}, {"provider": "embedded"}, project=CHECKOUT)
USERS = (SmokeUser("one@smoke.example", "password"),)


@pytest.fixture
def done(tmp_path: Path) -> Iterator[Deployment]:
    """A deployment that has promoted green."""
    made = Deployment(tmp_path)
    made.run()
    yield made
    made.stop_keeper()


def environment(one: Deployment, registry: FakeRegistry) -> Environment:
    caller = Caller("arn:aws:iam::123456789012:user/tester", "123456789012")
    return Environment("test", "http://live.example", one.ports, registry, caller, USERS, ())


def test_previous_release_is_deployed_again_by_its_tag(done: Deployment) -> None:
    attempt(done, "two")
    world = environment(done, FakeRegistry(OLD, NEW))
    assert rollback.release_to_redeploy(SETTINGS, world, None) == (OLD.tag, "blue")
    with pytest.raises(Refused) as caught:
        rollback.rollback(SETTINGS, world, done.reports)
    assert f"deploy --image-tag {OLD.tag} --target blue --environment test" in (caught.value.hint or "")


def test_redeploy_is_refused_while_a_rollback_is_possible(done: Deployment) -> None:
    """A rollback takes seconds; a deployment takes minutes."""
    with pytest.raises(Refused, match=r"blue still has 1.0.0: nothing has to be deployed again"):
        rollback.release_to_redeploy(SETTINGS, environment(done, FakeRegistry(OLD, NEW)), None)


def test_image_that_the_registry_has_lost_is_named(done: Deployment) -> None:
    attempt(done, "two")
    world = environment(done, FakeRegistry(NEW))
    with pytest.raises(Refused, match="the registry does not have"):
        rollback.release_to_redeploy(SETTINGS, world, None)
    with pytest.raises(Refused, match="overwritten by run two") as caught:
        rollback.rollback(SETTINGS, world, done.reports)
    assert "the registry does not have" in (caught.value.hint or "")
