"""Many switches in a row through the real ports, with users who never retry a request.

Failure mode 13: errors exactly at the switch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deployment.evidence.journal import Journal
from deployment.flow.lease import LeaseKeeper, this_process
from deployment.flow.steps import Steps
from deployment.flow.switch import Confirmation, Destination, confirm, write
from deployment.model import Colour, Holder, Readiness
from deployment.plan import Ports
from deployment.polling import poll
from deployment.settings import load
from infrastructure.compose import Environment
from tests.checkout import SETTINGS_FILE
from tests.e2e import images
from tests.e2e.sandbox import Sandbox
from tests.e2e.user import User

USERS = 3


def _bring_up(world: Environment, colour: Colour, tag: str) -> Destination:
    platform, image = world.ports.platform, world.registry.resolve(tag)
    rollout = platform.provision(colour, image)
    poll(
        world.ports.clock,
        lambda: True if platform.progress(rollout).readiness is Readiness.READY else None,
        timeout_s=60,
        waiting_for=lambda: f"{colour} to run {tag}",
    )
    return Destination(colour, platform.describe(colour).origin, image.version)


@contextmanager
def _held(ports: Ports) -> Iterator[Holder]:
    limits = load(SETTINGS_FILE, None).limits
    holder = ports.lease.acquire(this_process("switching", "tests", ports.clock, limits, "switching back and forth"))
    keeper = LeaseKeeper(ports.lease, holder, limits.lease_ttl)
    keeper.start()
    try:
        yield holder
    finally:
        keeper.stop()
        ports.lease.release(holder)


@pytest.mark.parametrize("switches", [4, pytest.param(20, marks=pytest.mark.soak)])
def test_no_request_is_lost(
    either_sandbox: Sandbox, user_of: Callable[[Sandbox], User], tmp_path: Path, switches: int
) -> None:
    """Both colours run; each switch is read back and confirmed; no request fails, and both colours answer users."""
    with either_sandbox.world() as world, _held(world.ports) as holder:
        ports = world.ports
        steps = Steps(
            Journal(tmp_path / "audit.jsonl", "tests", ports.clock), ports.clock, lambda _: None, lambda: None
        )
        live = ports.platform.describe(Colour.BLUE)
        there = {
            Colour.BLUE: Destination(Colour.BLUE, live.origin, images.OLD),
            Colour.GREEN: _bring_up(world, Colour.GREEN, images.NEW),
        }
        users = [user_of(either_sandbox) for _ in range(USERS)]
        with users[0], users[1], users[2]:
            for number in range(switches):
                seen = ports.router.observe()
                to = there[Colour.GREEN if number % 2 == 0 else Colour.BLUE]
                found = write(ports, steps, holder, seen, to)
                confirm(ports, steps, to, found.generation, Confirmation(20, 30))
        poll(
            ports.clock,
            lambda: True if ports.platform.retire(Colour.GREEN) is None else None,
            timeout_s=60,
            waiting_for=lambda: "green to stop",
        )
    print(f"{sum(user.seen.requests for user in users)} requests over {switches} switches")
    for user in users:
        assert user.seen.failures == []
        assert user.seen.last_by.keys() == {images.OLD, images.NEW}
        assert user.seen.requests > switches
    either_sandbox.assert_live("blue", images.OLD)
