"""The machine on a disk that takes no more lines of its journal, from any line on: users stay safe, nothing turns green."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from deployment.clock import SystemClock
from deployment.errors import JournalUnwritable, StepFailed
from deployment.evidence.archive import EvidenceWriter
from deployment.evidence.journal import Journal, read
from deployment.flow.lease import LeaseKeeper
from deployment.flow.lost_reports import results
from deployment.model import Reason
from deployment.phases import Phase
from deployment.recovery.complete_report import Recoverer, complete
from tests.deployment.fakes import BLUE, GREEN, OLD
from tests.deployment.harness import GATES, LIMITS, Deployment, Harm


@pytest.fixture(autouse=True)
def _without_fsync_and_keeper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not start the keeper, which renews in real time, and skip fsync, because the power does not fail here."""
    monkeypatch.setattr(LeaseKeeper, "start", lambda _: None)
    monkeypatch.setattr(os, "fsync", lambda _: None)


Disk = Callable[[int], OSError | None]
ERRORS = [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS]
HARMED: Harm = lambda: "users see errors"  # noqa: E731  # a value with a type


def full_from(line: int, error: int = errno.ENOSPC) -> Disk:
    return lambda number: OSError(error, os.strerror(error)) if number >= line else None


def full_once(line: int) -> Disk:
    return lambda number: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) if number == line else None


def run(one: Deployment, harm: Harm = lambda: None) -> Phase:
    """Run the deployment as a coordinator does, which tells the machine whether its report was written."""
    machine = one.machine
    try:
        one.to_verified()
        machine.promote(GATES)
        machine.bake(harm)
        machine.complete()
    except Exception as error:
        machine.abandon(Reason.parse(f"verify: {error}"))
    machine.let_go(one.journal.problem if one.journal.unwritten else None)
    return machine.phase


def lines_of(tmp_path: Path, harm: Harm = lambda: None) -> int:
    """Return how many lines the deployment writes on a disk that takes all of them."""
    one = Deployment(tmp_path / "whole")
    run(one, harm)
    return one.journal.writes


def each_line(harm: Harm, disk_of: Callable[[int], Disk], folder: Path) -> list[Phase]:
    """Run the deployment once for each line of its journal, with a disk that fails there; return how the runs ended."""
    phases: list[Phase] = []
    for line in range(1, lines_of(folder, harm) - 1):  # the first two lines are written before the machine begins
        one = Deployment(folder / str(line))
        one.journal.writes = 0
        one.journal.disk = disk_of(line)
        phase = run(one, harm)
        assert one.journal.problem == os.strerror(errno.ENOSPC)
        assert phase in (Phase.REJECTED, Phase.ROLLED_BACK), f"line {line}: {phase}"
        live = one.cloud.serving()
        assert (one.cloud.routes.live, live.image, live.running) == (BLUE, OLD, True), f"line {line}"
        assert not one.cloud.sides[GREEN].running, f"line {line}: the candidate still runs"
        assert one.lease.holder is None, f"line {line}: the lease was kept"
        assert "deployment" not in one.lease.kept
        assert "promotion" not in one.lease.kept
        list(read(one.journal.path))  # every line on the disk is whole
        phases.append(phase)
    return phases


def test_full_disk_never_turns_green_and_never_delays_the_way_back(tmp_path: Path) -> None:
    """Failure at each line of a good deployment, and from then on."""
    phases = each_line(lambda: None, full_from, tmp_path)
    assert {Phase.REJECTED, Phase.ROLLED_BACK} == set(phases)


def test_rollback_goes_on_although_no_line_of_it_can_be_written(tmp_path: Path) -> None:
    assert Phase.ROLLED_BACK in each_line(HARMED, full_from, tmp_path)


def test_disk_that_fails_once_gives_a_whole_journal_with_a_gap(tmp_path: Path) -> None:
    each_line(lambda: None, full_once, tmp_path)
    for path in tmp_path.glob("[0-9]*/one/audit.jsonl"):
        records = list(read(path))
        gaps = [record.data for record in records if record.kind == "gap"]
        assert gaps == [{"error": os.strerror(errno.ENOSPC), "restored": True}], path
        assert {"outcome", "phase"} <= {record.kind for record in records}


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_of_the_disk_stops_the_way_forward(tmp_path: Path, error: int) -> None:
    one = Deployment(tmp_path)
    one.machine.lease()
    one.journal.disk = full_from(0, error)
    with pytest.raises(JournalUnwritable, match=os.strerror(error)):
        one.machine.provision()
    assert "provision" not in one.cloud.names()


def test_full_disk_is_seen_during_a_bake_that_writes_nothing(tmp_path: Path) -> None:
    """No step begins for minutes, but a line of another writer, such as a warning, fails: the bake ends at once."""
    one = Deployment(tmp_path, limits=LIMITS)
    one.to_verified()
    one.machine.promote(GATES)

    def harm() -> None:
        one.journal.disk = full_from(0)
        one.journal.append("warning", gate="live", text="slow")

    with pytest.raises(JournalUnwritable):
        one.machine.bake(harm)


def test_promotion_whose_report_cannot_be_written_is_taken_back(tmp_path: Path) -> None:
    """The disk fills after the machine has succeeded and before the report is written."""
    one = Deployment(tmp_path)
    one.to_verified()
    one.machine.promote(GATES)
    one.machine.bake(lambda: None)
    one.machine.complete()
    assert one.machine.phase.name == Phase.SUCCEEDED.name
    one.journal.disk = full_from(0)
    one.machine.take_back(Reason("report", "No space left on device"))
    assert one.machine.phase is Phase.ROLLED_BACK
    assert one.machine.let_go("No space left on device") is None
    assert one.cloud.routes.live is BLUE
    assert "promotion" not in one.lease.kept


def test_result_is_kept_beside_the_lease_and_the_report_completed_later(tmp_path: Path) -> None:
    """The run ends, the disk has space again, and the next command completes the report and says that lines are lost."""
    one = Deployment(tmp_path)
    folder = one.folder
    for path in folder.iterdir():
        path.unlink()
    journal = one.journal = one.machine._journal = one.machine._steps._journal = type(one.journal)(
        folder / "audit.jsonl", "actor", SystemClock()
    )
    journal.append("opened", deployment_id="one", environment="test", mode="deploy", host="x", pid=1)
    one.to_verified()
    one.machine.promote(GATES)
    journal.disk = full_from(0)
    with pytest.raises(JournalUnwritable):
        one.machine.bake(lambda: None)
    one.machine.abandon(Reason("bake", "the journal cannot be written"))
    one.machine.let_go("No space left on device")
    lost = results(one.lease)
    assert lost["one"]["verdict"] == "rolled_back"
    said: list[str] = []
    assert completed(one, lost, said) == 0, "the process of another host may still live"
    rewrite_host(folder)
    assert completed(one, lost, said, "the disk has space again") == 1
    report = one.report()
    assert (report["verdict"], report["recovered"], report["exit_code"]) == ("rolled_back", True, None)
    assert report["reason_given"] == "the disk has space again"
    (gap,) = [record.data for record in read(folder / "audit.jsonl") if record.kind == "gap"]
    assert gap["lines"] > 0
    assert not gap["restored"]


def completed(one: Deployment, lost: dict[str, dict[str, object]], said: list[str], reason: str | None = None) -> int:
    return complete(
        one.reports,
        "test",
        by=Recoverer("x", reason),
        clock=SystemClock(),
        evidence=EvidenceWriter(say=said.append),
        lost=lost,
    )


def rewrite_host(folder: Path) -> None:
    """Write the journal again as a process of this host that has ended."""
    records = list(read(folder / "audit.jsonl"))
    (folder / "audit.jsonl").unlink()
    journal = Journal(folder / "audit.jsonl", "actor", SystemClock())
    for record in records:
        data = {**record.data, **({"host": socket.gethostname(), "pid": 0} if record.kind == "opened" else {})}
        journal.append(record.kind, **data)


# -- rollback and recovery by hand -------------------------------------------------------------------------------------------


def test_rollback_by_hand_works_on_a_full_disk(tmp_path: Path) -> None:
    one = Deployment(tmp_path)
    one.forward()
    one.reports = full_folder(tmp_path)
    undo = one.undo()
    assert undo.phase is Phase.ROLLED_BACK
    assert one.cloud.routes.live is BLUE
    assert one.lease.holder is None


def test_recover_works_on_a_full_disk(tmp_path: Path) -> None:
    one = Deployment(tmp_path)
    one.to_verified()
    one.machine.promote(GATES)
    one.mark_dead()
    assert one.recover(full_folder(tmp_path)) is Phase.ROLLED_BACK
    assert one.cloud.routes.live is BLUE
    assert one.lease.holder is None
    assert results(one.lease)["one"]["verdict"] == "rolled_back"


def full_folder(tmp_path: Path) -> Path:
    """Return a folder in which nothing can be created, also not by root."""
    path = tmp_path / "a file instead of a folder"
    path.write_text("")
    return path


# -- the journal alone -------------------------------------------------------------------------------------------------------


def test_deleted_folder_is_restored_whole_on_the_way_back(tmp_path: Path) -> None:
    one = Deployment(tmp_path)
    one.to_verified()
    one.cloud.journal_length = lambda: 0
    one.journal.path.unlink()
    one.folder.rmdir()
    with pytest.raises((JournalUnwritable, StepFailed)):
        one.machine.promote(GATES)
    one.machine.abandon(Reason("verify", "the journal cannot be written"))
    kinds = [record.kind for record in read(one.journal.path)]
    assert kinds[:2] == ["opened", "planned"]
    assert "gap" in kinds


def test_torn_line_that_cannot_be_cut_off_is_cut_off_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Deployment(tmp_path)
    one.journal.cloud = None
    with monkeypatch.context() as patched:
        one.journal.disk = full_from(0)
        patched.setattr(os, "ftruncate", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "I/O error")))
        one.journal.append("torn", text="x")
    one.journal.disk = lambda _: None
    one.journal.append("next")
    assert [record.kind for record in read(one.journal.path)] == ["opened", "planned", "torn", "next", "gap"]


def test_failed_fsync_counts_as_a_failed_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Deployment(tmp_path)

    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(JournalUnwritable):
        one.machine.lease()
    assert [record.kind for record in read(one.journal.path)] == ["opened", "planned"]
