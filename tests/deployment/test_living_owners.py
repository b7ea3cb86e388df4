"""A living owner is never taken for dead: no clock and no other machine of the same name decides it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from deployment.clock import SystemClock, process_identity, process_runs
from deployment.errors import LeaseHeld, Refused
from deployment.flow.lease import owner_alive
from deployment.model import Holder
from deployment.phases import Phase
from deployment.plan import DeploymentRecord
from deployment.recovery import complete_report
from deployment.recovery.force_unlock import break_lock
from deployment.recovery.lock_wait import dead_lock_token, refuse_while_held
from tests.deployment.fakes import GREEN, elsewhere
from tests.deployment.harness import GATES, TTL, Deployment
from tests.deployment.test_complete_report import GONE, journal

pytestmark = pytest.mark.skipif(process_identity() is None, reason="this system has no /proc")
HERE = socket.gethostname()


def held(one: Deployment) -> Holder:
    assert one.lease.holder is not None
    return one.lease.holder


def baking(one: Deployment) -> None:
    one.to_verified()
    one.machine.promote(GATES)


STEPS_S = [1.0, -1.0, 3600.0]
"""Seconds by which the clock was set: psutil's start of a process moves with it."""


@pytest.mark.parametrize("step_s", STEPS_S)
def test_clock_that_was_set_makes_no_owner_dead(one: Deployment, step_s: float) -> None:
    baking(one)
    one.lease.holder = replace(held(one), process_started=held(one).process_started + step_s)
    assert owner_alive(held(one)) is True
    with pytest.raises(LeaseHeld):
        one.recover()
    with pytest.raises(LeaseHeld):
        refuse_while_held(one.ports)
    assert one.cloud.routes.live is GREEN


OTHERS: dict[str, Callable[[Holder], Holder]] = {
    "another machine of this name": lambda holder: replace(elsewhere(holder, HERE), pid=GONE),
    "another PID namespace": lambda holder: replace(
        holder,
        pid=GONE,
        process_identity=(holder.process_identity or "").replace("pid:[", "pid:[9", 1),
    ),
    "an earlier version, pid unknown": lambda holder: replace(holder, pid=GONE, process_identity=None),
    "an earlier version, another start": lambda holder: replace(holder, process_started=0.0, process_identity=None),
}


@pytest.mark.parametrize("other", OTHERS)
def test_owner_that_cannot_be_seen_lives_while_it_renews(one: Deployment, other: str) -> None:
    baking(one)
    there = one.lease.holder = OTHERS[other](held(one))
    assert owner_alive(there) is None

    def renew() -> None:
        one.lease.holder = replace(there, expires_at=one.cloud.clock.now() + one.lease.ttl)

    one.cloud.hooks["sleep"] = renew
    with pytest.raises(LeaseHeld):
        one.recover()
    with pytest.raises(Refused, match="is alive"):
        break_lock(one.ports, one.limits, one.journal, by="me", reason="x", force=False)
    assert one.cloud.routes.live is GREEN


@pytest.mark.parametrize("other", OTHERS)
def test_lease_that_is_not_renewed_is_taken_after_its_end(one: Deployment, other: str) -> None:
    baking(one)
    one.stop_keeper()
    one.lease.holder = OTHERS[other](held(one))
    before = one.cloud.clock.elapsed
    assert one.recover() is Phase.ROLLED_BACK
    assert one.cloud.clock.elapsed - before >= TTL - 10


def test_lock_of_an_owner_that_cannot_be_seen_is_not_freed(one: Deployment) -> None:
    one.machine.lease()
    holder = held(one)
    one.lease.kept.pop("deployment")
    one.lease.holder = elsewhere(holder, HERE)
    assert dead_lock_token(one.ports) is None
    one.mark_dead()
    assert dead_lock_token(one.ports) == holder.token


def test_record_of_an_earlier_version_has_no_identity(one: Deployment) -> None:
    baking(one)
    record = DeploymentRecord.load(one.lease.kept["deployment"])
    assert record.owner.process_identity == process_identity()
    old = one.lease.kept["deployment"].replace('"process_identity"', '"unknown_key"')
    assert DeploymentRecord.load(old).owner.process_identity is None


def test_process_of_an_earlier_version_is_alive_while_it_is_there() -> None:
    me, now = psutil.Process(), SystemClock().now()
    owner = Holder("one", "me", HERE, me.pid, me.create_time(), now, now)
    assert owner_alive(owner) is True


# -- identities ------------------------------------------------------------------------------------------------------


def test_process_that_was_killed_is_dead_at_once_also_before_it_is_reaped() -> None:
    code = "from deployment.clock import process_identity as i; print(i(), flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        identity = child.stdout.readline().decode().strip()
        assert process_runs(identity) is True
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert process_runs(identity) is False
        child.wait()
        assert process_runs(identity) is False


def proc(folder: Path, *, boot: str = "boot-1", namespace: str = "pid:[1]", start: int = 77, state: str = "S") -> Path:
    """Return a folder as /proc with this process, whose name looks like the end of a name."""
    own = folder / str(os.getpid())
    (folder / "sys/kernel/random").mkdir(parents=True)
    (folder / "sys/kernel/random/boot_id").write_text(f"{boot}\n")
    (own / "ns").mkdir(parents=True)
    (own / "ns/pid").symlink_to(namespace)
    (own / "stat").write_text(f"{os.getpid()} (a) S 1 (b) {state} " + "0 " * 18 + f"{start} 0 0\n")
    (folder / "self").symlink_to(str(os.getpid()))
    return folder


@pytest.mark.parametrize(
    ("now", "runs"),
    [
        ({}, True),
        ({"start": 78}, False),
        ({"state": "Z"}, False),
        ({"boot": "boot-2"}, None),
        ({"namespace": "pid:[2]"}, None),
        ({"boot": "boot-2", "start": 78}, None),
    ],
)
def test_identity_holds_for_one_boot_and_one_namespace(
    tmp_path: Path, now: dict[str, object], runs: bool | None
) -> None:
    identity = process_identity(proc(tmp_path / "then"))
    assert identity == f"boot-1 pid:[1] {os.getpid()} 77"
    assert process_runs(identity, proc(tmp_path / "now", **now)) is runs  # type: ignore[arg-type]  # of each parameter


def test_pid_that_is_taken_but_not_shown_is_unknown(tmp_path: Path) -> None:
    """A mount of /proc with ``hidepid`` hides the processes of other users."""
    seen = proc(tmp_path / "seen")
    assert process_runs(f"boot-1 pid:[1] {os.getppid()} 77", seen) is None
    assert process_runs(f"boot-1 pid:[1] {GONE} 77", seen) is False


@pytest.mark.parametrize("identity", ["", "x", "a b c", "boot-1 pid:[1] x 77"])
def test_damaged_identity_proves_nothing(tmp_path: Path, identity: str) -> None:
    assert process_runs(identity, proc(tmp_path / "proc")) is None


def test_system_without_proc_has_no_identity(tmp_path: Path) -> None:
    assert process_identity(tmp_path) is None
    assert process_runs(process_identity() or "", tmp_path) is None


def test_proc_of_another_namespace_gives_no_identity(tmp_path: Path) -> None:
    other = proc(tmp_path / "proc")
    (other / "self").unlink()
    (other / "self").symlink_to("1234567")
    assert process_identity(other) is None
    assert process_runs(f"boot-1 pid:[1] {os.getpid()} 77", other) is None


# -- journals --------------------------------------------------------------------------------------------------------


def opened(reports: Path, identity: str | None) -> Path:
    made = journal(reports, "one", process_identity=identity)
    return made.path


def ended(reports: Path) -> bool:
    return complete_report.run_ended(reports, "one")


def test_journal_of_a_run_in_another_namespace_is_left_alone(tmp_path: Path) -> None:
    path = opened(tmp_path, f"another-boot pid:[1] {GONE} 77")
    assert not ended(tmp_path)
    before_this_boot = psutil.boot_time() - 60
    os.utime(path, (before_this_boot, before_this_boot))
    assert ended(tmp_path)


def test_silent_journal_of_a_run_in_another_namespace_has_ended(tmp_path: Path) -> None:
    mine = (process_identity() or "").split(" ")
    path = opened(tmp_path, f"{mine[0]} pid:[1] {GONE} 77")
    assert not ended(tmp_path)
    silent = time.time() - complete_report.LONGEST_SILENCE_S - 1
    os.utime(path, (silent, silent))
    assert ended(tmp_path)


def test_journal_of_a_living_run_is_left_alone_whatever_the_clock_says(tmp_path: Path) -> None:
    """The line ``opened`` is older than the process by the clock, which was set."""
    path = opened(tmp_path, process_identity())
    os.utime(path, (0, 0))
    assert not ended(tmp_path)


def test_journal_of_a_dead_run_on_this_machine_has_ended(tmp_path: Path) -> None:
    opened(tmp_path, f"{(process_identity() or '').rpartition(' ')[0]} 1")
    assert ended(tmp_path)


def test_journal_of_an_earlier_version_has_ended_with_its_pid(tmp_path: Path) -> None:
    opened(tmp_path, None)
    assert ended(tmp_path)
