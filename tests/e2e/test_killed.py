"""SIGKILL at lines of the journal while workers and load stay alive: `recover` or the next run recovers the killed run.

Failure mode 11: an interrupted run. The other test_killed_*.py files kill before and after every line.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.e2e import killing
from tests.e2e.bookings import consults_left
from tests.e2e.kill_spots import PROMOTION, Spot, verdict_of_killed_promotion
from tests.e2e.killing import NEW, OLD
from tests.e2e.sandbox import RunningCommand, Sandbox, journal, wait_until
from tests.e2e.user import User


@pytest.mark.parametrize(
    "spot",
    [
        pytest.param(Spot(PROMOTION, PROMOTION.index("opened"), "after"), marks=pytest.mark.soak),
        pytest.param(Spot(PROMOTION, PROMOTION.index("phase LEASED"), "before"), marks=pytest.mark.soak),
        Spot(PROMOTION, PROMOTION.index("intent provision"), "after"),
        pytest.param(Spot(PROMOTION, PROMOTION.index("outcome provision"), "before"), marks=pytest.mark.soak),
        pytest.param(Spot(PROMOTION, PROMOTION.index("rollout"), "after"), marks=pytest.mark.soak),
    ],
    ids=str,
)
def test_recover(up_sandbox: Sandbox, user_of: Callable[[Sandbox], User], fast_settings: Path, spot: Spot) -> None:
    """Exit 0, blue live, the lock free; a second `recover` has nothing to do; no request of the user fails."""
    before = up_sandbox.running()
    with user_of(up_sandbox) as user:
        killed = killing.wait_killed(up_sandbox, killing.deploy(up_sandbox, fast_settings, spot=str(spot)))
        assert killed.folder is not None
        if spot.written("phase LEASED"):
            status = up_sandbox.status()
            assert (status["deployment"]["id"], status["deployment"]["owner_alive"]) == (killed.folder.name, False)
        killing.recover(up_sandbox)
        killing.assert_settled(up_sandbox, OLD, killed.folder, verdict_of_killed_promotion(spot))
        assert "nothing to recover" in killing.recover(up_sandbox).output
        killing.assert_no_change_after_thaw(up_sandbox, killed, before)
    assert user.seen.failures == []


@pytest.mark.soak
def test_killed_after_the_bake_and_in_rollback(
    up_sandbox: Sandbox, user_of: Callable[[Sandbox], User], fast_settings: Path
) -> None:
    """A promotion stands if it was killed after the bake's outcome; `recover` completes a killed `rollback`."""
    before = up_sandbox.running()
    with user_of(up_sandbox) as user:
        killed = killing.wait_killed(up_sandbox, killing.deploy(up_sandbox, fast_settings, spot="after outcome bake"))
        killing.recover(up_sandbox)
        killing.assert_settled(up_sandbox, NEW, killed.folder, "promoted")
        killed.thaw()
        undone = killing.wait_killed(
            up_sandbox, killing.undo(up_sandbox, fast_settings, "rollback", "before outcome rollback")
        )
        killing.recover(up_sandbox)
        killing.assert_settled(up_sandbox, OLD, undone.folder, "rolled_back")
        killing.assert_no_change_after_thaw(up_sandbox, undone, before)
    assert user.seen.failures == []


@pytest.mark.soak
def test_killed_recover_is_finished_in_a_fresh_clone(
    up_sandbox: Sandbox, user_of: Callable[[Sandbox], User], fast_settings: Path, tmp_path: Path
) -> None:
    """The run and `recover` are killed; another `recover`, in a fresh clone without any report, makes blue live again."""
    before = up_sandbox.running()
    with user_of(up_sandbox) as user:
        killed = killing.wait_killed(up_sandbox, killing.deploy(up_sandbox, fast_settings, spot="after switched"))
        again = killing.wait_killed(up_sandbox, killing.undo(up_sandbox, fast_settings, "recover", "after writing"))
        assert killed.folder is not None
        assert "recovering" in killing.labels(killed.folder)
        ran = up_sandbox.script("recover", "--reports", str(tmp_path), *killing.ENVIRONMENT)
        assert ran.code == 0, ran.output
        killing.assert_settled(up_sandbox, OLD, tmp_path / killed.folder.name, "rolled_back")
        again.thaw()
        killing.assert_no_change_after_thaw(up_sandbox, killed, before)
    assert user.seen.failures == []


@pytest.mark.soak
def test_next_run_recovers(up_sandbox: Sandbox, user_of: Callable[[Sandbox], User], fast_settings: Path) -> None:
    """A run is killed under load while its Locust stays alive; the next run recovers it without `recover`, then deploys."""
    before = up_sandbox.running()
    with user_of(up_sandbox) as user:
        killed = killing.wait_killed(up_sandbox, killing.deploy(up_sandbox, fast_settings, spot="while locust"))
        assert killed.left == ()
        assert any("locust" in command for command in up_sandbox.running().values()), "the load must still be running"
        ran = up_sandbox.wait(killing.deploy(up_sandbox, fast_settings))
        assert ran.code == 0, ran.output
        assert killed.folder is not None
        assert [line["deployment_id"] for line in ran.journal("settled")] == [killed.folder.name]
        assert journal(killed.folder)[-1]["verdict"] == "rejected"
        killing.assert_settled(up_sandbox, NEW, ran.folder, "promoted")
        assert up_sandbox.undo("rollback").code == 0
        killing.assert_no_change_after_thaw(up_sandbox, killed, before)
        killing.assert_settled(up_sandbox, OLD)
    assert user.seen.failures == []


@pytest.mark.soak
def test_data_of_a_killed_run_is_removed(up_sandbox: Sandbox, fast_settings: Path) -> None:
    """SIGKILL for every process of a run that has consults booked: `recover` cancels them, says how many, and is harmless again."""
    before = up_sandbox.running()
    # A run of an earlier test, which a fresh clone without the run's ledger recovered, may have left some.
    earlier = consults_left(up_sandbox)
    running = killing.deploy(up_sandbox, fast_settings)

    def has_data() -> bool:
        assert running.process.poll() is None, "the run ended before it was killed"
        return consults_left(up_sandbox) != earlier and _suspended_with_data(
            up_sandbox, _processes_of(running), earlier
        )

    wait_until(has_data, "consults booked", timeout_s=300)
    for process in _processes_of(running):
        process.kill()
    up_sandbox.wait(running)
    booked, folder = len(consults_left(up_sandbox)) - len(earlier), running.folder()
    assert booked > 0, "nothing removes them by itself"
    assert folder is not None
    ran = killing.recover(up_sandbox)
    assert consults_left(up_sandbox) == earlier
    (line,) = (line for line in journal(folder) if line["kind"] == "leftovers")
    assert (line["removed"], line["left"]) == (booked, [])
    assert f"{booked} entries that its journeys left in the service were removed" in ran.output
    assert json.loads((folder / "verification.json").read_text(encoding="utf-8"))["verdict"] == "rejected"
    assert not (folder / "journeys.jsonl").exists()
    assert "nothing to recover" in killing.recover(up_sandbox).output
    wait_until(lambda: up_sandbox.running() == before, f"what the killed run started to end: {before}")


def _processes_of(running: RunningCommand) -> list[psutil.Process]:
    me = psutil.Process(running.process.pid)
    return [one for one in (*me.children(recursive=True), me) if one.status() != psutil.STATUS_ZOMBIE]


def _suspended_with_data(sandbox: Sandbox, processes: list[psutil.Process], earlier: list[str]) -> bool:
    """Suspend the processes and return whether more consults are booked then than earlier; resume them if not."""
    for process in processes:
        process.suspend()
    if consults_left(sandbox) != earlier:
        return True
    for process in processes:
        process.resume()
    return False
