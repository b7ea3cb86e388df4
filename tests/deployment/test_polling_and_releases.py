"""Polling with a deadline, the default release, and the thread that renews the lease."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace

import pytest

from deployment.errors import CloudUnreachable, DeadlinePassed, UnknownTag
from deployment.flow.lease import LeaseKeeper, this_process
from deployment.polling import poll
from deployment.releases import default_tag
from tests.deployment.fakes import OLD, FakeClock, FakeCloud, FakeLease, FakeRegistry, image
from tests.deployment.harness import LIMITS


def test_poll_pauses_grow_until_the_timeout() -> None:
    clock, looks = FakeClock(), []
    with pytest.raises(DeadlinePassed, match=r"green to start \(waited 60 s, the limit is 60 s\)"):
        poll(clock, lambda: looks.append(clock.elapsed), timeout_s=60, waiting_for=lambda: "green to start")
    pauses = [b - a for a, b in itertools.pairwise(looks)]
    assert pauses[0] == pytest.approx(0.1)
    assert max(pauses) <= 5.0
    assert looks[-1] == pytest.approx(60)


def test_poll_checks_once_even_with_a_zero_timeout() -> None:
    assert poll(FakeClock(), lambda: "there", timeout_s=0, waiting_for=str) == "there"


@pytest.mark.parametrize(
    ("tags", "highest"),
    [
        (["1.9.0", "1.10.0", "1.2.0"], "1.10.0"),
        (["1.0.0", "2.0.0-rc.1"], "2.0.0-rc.1"),
        (["2.0.0", "2.0.0-rc.1"], "2.0.0"),
        (["latest", "1.0.0", "main"], "1.0.0"),
    ],
)
def test_default_release_is_the_highest_version(tags: list[str], highest: str) -> None:
    assert default_tag(tags) == highest


@pytest.mark.parametrize("tags", [[], ["latest", "v1"]])
def test_no_default_release_without_a_version(tags: list[str]) -> None:
    with pytest.raises(UnknownTag, match="latest" if tags else "none at all"):
        default_tag(tags)


def test_registry_turns_tags_into_images() -> None:
    registry = FakeRegistry(OLD, image("1.4.2"))
    assert registry.resolve(default_tag(registry.tags())).version == "1.4.2"
    with pytest.raises(UnknownTag, match=r"1\.0\.0"):
        registry.resolve("nope")


def test_keeper_survives_aws_errors_and_records_the_loss() -> None:
    cloud = FakeCloud()
    lease = FakeLease(cloud, 60)
    holder = lease.acquire(this_process("one", "me", cloud.clock, LIMITS, "deploy"))
    cloud.next_errors["renew"] = [CloudUnreachable("no answer"), None]
    asked = threading.Event()

    def take_over() -> None:
        if cloud.names().count("renew") > 2:
            lease.holder = replace(holder, token=99)
            asked.set()

    cloud.hooks["renew"] = take_over
    keeper = LeaseKeeper(lease, holder, 0.006)
    keeper.start()
    assert asked.wait(10)
    keeper._thread.join(10)
    assert not keeper._thread.is_alive()
    assert "does not have the lease" in (keeper.lost or "")
    keeper.stop()


def test_keeper_stops() -> None:
    cloud = FakeCloud()
    lease = FakeLease(cloud, 60)
    keeper = LeaseKeeper(lease, lease.acquire(this_process("one", "me", cloud.clock, LIMITS, "deploy")), 60)
    keeper.start()
    keeper.stop()
    assert not keeper._thread.is_alive()
    assert keeper.lost is None
