"""The renewals of a lease: one slow failure costs nothing, and only another holder ends them."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployment.errors import CloudUnreachable, LeaseLost, SettingsError
from deployment.flow.lease import LeaseKeeper, this_process
from deployment.model import Reason
from deployment.phases import Phase
from tests.deployment.fakes import BLUE, GREEN, FakeCloud, FakeLease
from tests.deployment.harness import GATES, LIMITS, Deployment

TTL_S = 60.0
SLOWEST_TRY_S = 7.0
"""A try with 2 s to connect and 5 s to answer."""


class Renewals:
    """A keeper that is driven by a fake clock through an outage, in which each try takes ``try_s`` seconds."""

    def __init__(self, outage: tuple[float, float], try_s: float, error: Exception | None = None) -> None:
        self.cloud = FakeCloud()
        self.lease = FakeLease(self.cloud, TTL_S)
        clock = self.cloud.clock
        holder = self.lease.acquire(this_process("one", "me", clock, LIMITS, "deploy"))
        self.keeper = LeaseKeeper(self.lease, holder, TTL_S, clock.monotonic)
        self.expired_s = 0.0

        def fail() -> None:
            if outage[0] <= clock.elapsed < outage[1]:
                clock.elapsed += try_s
                raise error or CloudUnreachable("dynamodb UpdateItem: ConnectTimeoutError")

        self.cloud.hooks["renew"] = fail

    def until(self, end_s: float) -> None:
        pause: float | None = TTL_S / 3
        clock = self.cloud.clock
        while pause is not None and clock.elapsed + pause < end_s:
            clock.elapsed += pause
            holder = self.lease.holder
            if holder is not None:
                self.expired_s = max(self.expired_s, (clock.now() - holder.expires_at).total_seconds())
            pause = self.keeper.renew()


@pytest.mark.parametrize("begin_s", [15, 19.9, 20, 39.9, 40])
@pytest.mark.parametrize("try_s", [0.01, 2, SLOWEST_TRY_S])
def test_outage_of_half_the_time_to_live_never_lets_the_lease_expire(begin_s: float, try_s: float) -> None:
    renewals = Renewals((begin_s, begin_s + TTL_S / 2), try_s)
    renewals.until(200)
    assert renewals.keeper.lost is None
    assert renewals.expired_s <= 0


@pytest.mark.parametrize("try_s", [0.01, SLOWEST_TRY_S])
def test_long_outage_costs_the_lease_only_if_another_run_takes_it(try_s: float) -> None:
    renewals = Renewals((10, 400), try_s)
    renewals.until(400 + TTL_S / 20 + 2 * try_s)
    assert renewals.expired_s > TTL_S
    assert renewals.keeper.lost is None
    holder = renewals.lease.holder
    assert holder is not None
    assert holder.expires_at > renewals.cloud.clock.now()


def test_lease_that_another_run_took_ends_the_renewals() -> None:
    renewals = Renewals((10, 150), SLOWEST_TRY_S)
    renewals.until(140)
    other = this_process("two", "jane", renewals.cloud.clock, LIMITS, "deploy")
    taken = renewals.lease.acquire(other)
    renewals.until(300)
    assert renewals.keeper.lost is not None
    assert "does not have the lease" in renewals.keeper.lost
    assert "ConnectTimeoutError" in renewals.keeper.lost
    assert renewals.lease.holder == taken


@pytest.mark.parametrize("error", [SettingsError("dynamodb UpdateItem: InvalidRegionError"), RuntimeError("a defect")])
def test_no_error_ends_the_renewals_silently(error: Exception) -> None:
    renewals = Renewals((10, 30), 0.5, error)
    renewals.until(25)
    problems = [renewals.keeper.problem]
    renewals.until(100)
    problems.append(renewals.keeper.problem)
    assert problems == [str(error), None]
    assert renewals.keeper.lost is None
    assert renewals.expired_s <= 0


def test_slow_renewal_that_succeeds_is_followed_in_time() -> None:
    """The lease lasts from the begin of a renewal, and the next one begins a third of the time to live after that."""
    renewals = Renewals((0, 0), 0)
    clock = renewals.cloud.clock
    renewals.cloud.hooks["renew"] = lambda: clock.sleep(6)
    assert renewals.keeper.renew() == pytest.approx(TTL_S / 3 - 6)
    renewals.cloud.hooks["renew"] = lambda: clock.sleep(50)
    assert renewals.keeper.renew() == TTL_S / 20


# -- a lease that expired and that no other run took -------------------------------------------------------------------


def test_rollback_renews_a_lease_that_expired(tmp_path: Path) -> None:
    one = Deployment(tmp_path)
    one.to_verified()
    one.machine.promote(GATES)
    one.expire_lease()
    with pytest.raises(LeaseLost):
        one.machine.bake(lambda: None)
    one.machine.abandon(Reason("bake", "harm"))
    assert one.machine.phase is Phase.ROLLED_BACK
    assert one.cloud.routes.live is BLUE
    assert one.machine.let_go() is None
    assert one.lease.holder is None


def test_rollback_waits_for_a_table_that_answers_now_and_then(tmp_path: Path) -> None:
    one = Deployment(tmp_path)
    one.to_verified()
    one.machine.promote(GATES)
    one.expire_lease()
    one.cloud.next_errors["renew"] = [CloudUnreachable("throttled")] * 5
    one.machine.abandon(Reason("bake", "harm"))
    assert one.machine.phase is Phase.ROLLED_BACK
    assert one.cloud.routes.live is BLUE


@pytest.mark.parametrize("failed", [0, 5])
def test_rollback_by_hand_renews_a_lease_that_expired(tmp_path: Path, failed: int) -> None:
    one = Deployment(tmp_path)
    assert one.run() is Phase.SUCCEEDED
    one.machine.let_go()
    one.cloud.hooks["observe"] = lambda: expire_once(one, failed)
    assert one.undo().phase is Phase.ROLLED_BACK
    assert one.cloud.routes.live is BLUE


def expire_once(one: Deployment, failed: int) -> None:
    """Let the lease of the rollback expire before its first write; the next renewals fail."""
    one.cloud.hooks.pop("observe", None)
    one.cloud.next_errors["renew"] = [CloudUnreachable("throttled")] * failed
    one.expire_lease()


def test_promotion_renews_a_lease_that_expired(tmp_path: Path) -> None:
    one = Deployment(tmp_path)
    one.to_verified()
    one.machine.promote(GATES)
    one.machine.bake(lambda: None)
    one.expire_lease()
    one.machine.complete()
    assert one.machine.phase is Phase.SUCCEEDED
    assert one.cloud.routes.live is GREEN


def test_rollback_does_not_renew_a_lease_that_another_run_took(tmp_path: Path) -> None:
    one = Deployment(tmp_path)
    one.to_verified()
    one.machine.promote(GATES)
    one.expire_lease()
    taken = one.lease.acquire(this_process("two", "jane", one.cloud.clock, LIMITS, "deploy"))
    one.machine.abandon(Reason("bake", "harm"))
    assert one.machine.phase is Phase.HALTED
    assert one.lease.holder == taken
    assert one.cloud.routes.live is GREEN
