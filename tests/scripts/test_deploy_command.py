"""``deploy`` accepts pytest's exit code only together with the closed report of that very run; otherwise it recovers it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from deployment.clock import SystemClock
from deployment.errors import CloudUnreachable
from deployment.evidence import receipt
from deployment.evidence.journal import Journal
from deployment.evidence.report import build, write
from deployment.model import Caller, Reason
from deployment.phases import Phase
from deployment.settings import Settings
from infrastructure.compose import Environment
from scripts import deploy
from scripts.commands import recover, run
from tests.checkout import CHECKOUT
from tests.deployment.harness import GATES, LIMITS, Deployment
from verification.journeys.accounts import SmokeUser

SETTINGS = Settings("test", LIMITS, {}, {"provider": "embedded"}, project=CHECKOUT)
USERS = (SmokeUser("one@smoke.example", "password"),)
# A run that leaves its receipt and then ends, or replaces its process, with an exit code of its own.
LEAVE = "import os, pathlib; pathlib.Path(os.environ['DEPLOYMENT_RECEIPT']).write_text({folder!r} + '\\n'); "
ENDS = {
    "libc's _exit": "import ctypes; ctypes.CDLL(None)._exit({code})",
    "another program": "import sys; os.execv(sys.executable, [sys.executable, '-c', 'raise SystemExit({code})'])",
}


@pytest.fixture(autouse=True)
def _signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """``deploy`` is the whole process of a command and keeps its handlers; these tests are not."""
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.delenv(receipt.RECEIPT, raising=False)


class Settled:
    """Records the folder that was settled."""

    def __init__(self, code: int = 10) -> None:
        self.code = code
        self.folders: list[Path] = []

    def __call__(self, folder: Path) -> int:
        self.folders.append(folder)
        return self.code


def closed(folder: Path, verdict: str, code: int | None) -> Path:
    """Write the journal and the report of a run that ended like this."""
    journal = Journal(folder / "audit.jsonl", "tester", SystemClock())
    journal.append("opened", deployment_id=folder.name, environment="test", mode="deploy")
    journal.append("closed", verdict=verdict, exit_code=code, finished_at="2026-11-29T00:00:00+00:00")
    write(folder, build(journal.records()))
    return folder


def ends(folder: Path, code: int, how: str = "libc's _exit") -> list[str]:
    script = LEAVE.format(folder=str(folder)) + ENDS[how].format(code=code)
    return [sys.executable, "-c", script]


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("result", [0, 10, 11, 3])
def test_exit_0_without_a_report_ends_with_the_result_of_its_recovery(tmp_path: Path, how: str, result: int) -> None:
    """The newest report is another run's promotion, and proves nothing about this run."""
    closed(tmp_path / "earlier", "promoted", 0)
    settled = Settled(result)
    assert run.deploy(ends(tmp_path / "this", 0, how), tmp_path, (), settled) == result
    assert settled.folders == [tmp_path / "this"]


@pytest.mark.parametrize("code", [1, 2, 4, 10, 137])
def test_other_exit_codes_are_no_proof_either(tmp_path: Path, code: int) -> None:
    """1 would say that traffic never moved, 10 that it is back: only the closed report can say that."""
    settled = Settled(11)
    assert run.deploy(ends(tmp_path / "this", code), tmp_path, (), settled) == 11
    assert settled.folders == [tmp_path / "this"]


@pytest.mark.parametrize(("verdict", "code"), [("promoted", 0), ("rejected", 1), ("refused", 4), ("rolled_back", 10)])
def test_closed_report_with_the_same_exit_code_is_accepted(tmp_path: Path, verdict: str, code: int) -> None:
    folder = closed(tmp_path / "this", verdict, code)
    settled = Settled()
    assert run.deploy(ends(folder, code), tmp_path, (), settled) == code
    assert settled.folders == []


def unfinished(folder: Path) -> None:
    path = folder / "audit.jsonl"
    path.write_text(path.read_text(encoding="utf-8").partition("\n")[0] + "\n", encoding="utf-8")


def of_another_run(folder: Path) -> None:
    other = closed(folder.with_name("other"), "promoted", 0)
    for name in ("audit.jsonl", "verification.json"):
        (folder / name).write_bytes((other / name).read_bytes())


def says_otherwise(folder: Path) -> None:
    path = folder / "verification.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"exit_code": 10}), encoding="utf-8")


def cut(folder: Path) -> None:
    path = folder / "verification.json"
    path.write_bytes(path.read_bytes()[:40])


@pytest.mark.parametrize("spoil", [unfinished, of_another_run, says_otherwise, cut])
def test_report_that_is_not_closed_is_not_accepted(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    folder = closed(tmp_path / "this", "promoted", 0)
    spoil(folder)
    settled = Settled()
    assert run.deploy(ends(folder, 0), tmp_path, (), settled) == 10
    assert settled.folders == [folder]


@pytest.mark.parametrize(
    ("verdict", "code", "ended"),
    [("promoted", 0, 137), ("promoted", 0, 3), ("rejected", 1, 0), ("rolled_back", 10, 0), ("verified", 0, 0)],
)
def test_closed_report_of_another_end_is_not_accepted(tmp_path: Path, verdict: str, code: int, ended: int) -> None:
    """The process can be replaced after its report is closed; and 0 without a promotion deployed nothing."""
    folder = closed(tmp_path / "this", verdict, code)
    settled = Settled(11)
    assert run.deploy(ends(folder, ended), tmp_path, (), settled) == 11
    assert settled.folders == [folder]


@pytest.mark.parametrize(("field", "value"), [("verdict", "promoted"), ("exit_code", 0), ("deployment_id", "other")])
def test_report_counts_only_if_its_journal_says_the_same(tmp_path: Path, field: str, value: object) -> None:
    folder = closed(tmp_path / "this", "rolled_back", 10)
    report = receipt.report_of(folder)
    assert report is not None
    (folder / "verification.json").write_text(json.dumps(report | {field: value}), encoding="utf-8")
    assert receipt.report_of(folder) is None


def test_command_ends_with_the_result_of_the_recovery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command of a person or of the workflow recovers the run that its receipt names."""
    settled = Settled(10)
    monkeypatch.setattr(run, "pytest_command", lambda *_: ends(tmp_path / "this", 0))
    monkeypatch.setattr(recover, "settle", lambda _, folder: settled(folder))
    ended = CliRunner().invoke(deploy.cli, ["deploy", "--image-tag", "1.1.0", "--target", "green"])
    assert (ended.exit_code, settled.folders) == (10, [tmp_path / "this"]), ended.output


def test_run_that_never_began_is_not_recovered(tmp_path: Path) -> None:
    """Without a receipt an error of the command line keeps its code, and 0 proves nothing."""
    settled = Settled()
    for code, expected in ((4, 4), (0, 3)):
        ended = [sys.executable, "-c", f"raise SystemExit({code})"]
        assert run.deploy(ended, tmp_path, (), settled) == expected
    assert run.deploy([sys.executable, "-c", ""], tmp_path, ("--plan",), settled) == 0
    assert settled.folders == []


def test_receipt_of_an_earlier_run_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CI may name the file; a run that leaves no receipt is not taken for the earlier one."""
    kept = tmp_path / "receipt"
    kept.write_text(f"{closed(tmp_path / 'earlier', 'promoted', 0)}\n", encoding="utf-8")
    monkeypatch.setenv(receipt.RECEIPT, str(kept))
    assert run.deploy([sys.executable, "-c", ""], tmp_path, (), Settled()) == 3
    folder = closed(tmp_path / "this", "promoted", 0)
    assert run.deploy(ends(folder, 0), tmp_path, (), Settled()) == 0
    assert receipt.folder_of(kept) == folder


def test_no_child_process_inherits_the_receipt(tmp_path: Path) -> None:
    variables = {receipt.RECEIPT: str(tmp_path / "receipt"), "HOME": "/"}
    receipt.leave(tmp_path / "this", variables)
    assert (receipt.folder_of(tmp_path / "receipt"), variables) == (tmp_path / "this", {"HOME": "/"})
    receipt.leave(tmp_path / "nested", variables)
    assert receipt.folder_of(tmp_path / "receipt") == tmp_path / "this"


# -- recovering the run ------------------------------------------------------------------------------------------------


class NoRegistry:
    """A registry that must not be called."""

    def resolve(self, tag: str) -> None:
        raise AssertionError(tag)

    find = tags = resolve


@pytest.fixture
def dead(tmp_path: Path) -> Iterator[Deployment]:
    made = Deployment(tmp_path)
    yield made
    made.stop_keeper()


def settle(one: Deployment, folder: Path | None = None) -> int:
    caller = Caller("arn:aws:iam::123456789012:user/tester", "123456789012")
    world = Environment("test", "http://live.example", one.ports, NoRegistry(), caller, USERS, ())  # type: ignore[arg-type]  # it is never called
    return recover.settle(lambda: (SETTINGS, world), folder or one.folder)


def to_verified(one: Deployment) -> None:
    one.to_verified()


def to_baking(one: Deployment) -> None:
    one.to_verified()
    one.machine.promote(GATES)


def baked(one: Deployment) -> None:
    to_baking(one)
    one.machine.bake(lambda: None)
    one.machine.complete()


def to_broken_rollback(one: Deployment) -> None:
    to_baking(one)
    one.cloud.sides[one.machine.plan.target.other].error = "status 503"


@pytest.mark.parametrize(
    ("until", "code", "verdict"),
    [
        (to_verified, 3, "rejected"),
        (to_baking, 10, "rolled_back"),
        (baked, 0, "promoted"),
        (to_broken_rollback, 11, "rollback_failed"),
    ],
)
def test_settled_run_has_the_exit_code_of_its_verdict(
    dead: Deployment, until: Callable[[Deployment], None], code: int, verdict: str
) -> None:
    until(dead)
    dead.mark_dead()
    assert settle(dead) == code
    report: dict[str, Any] = dead.report()
    assert (report["verdict"], report["recovered"]) == (verdict, True)


def test_run_that_ended_by_itself_and_wrote_no_report(dead: Deployment) -> None:
    """It went back on a full disk and kept its result beside the lease: its own exit code would be 3, not 11."""
    to_baking(dead)
    dead.machine.abandon(Reason("bake", "harm"))
    dead.machine.let_go("No space left on device")
    assert settle(dead) == 3


def test_no_other_run_is_recovered(dead: Deployment, tmp_path: Path) -> None:
    """Another dead run holds the environment: it is left to its own ``recover``."""
    to_verified(dead)
    dead.mark_dead()
    assert settle(dead, closed(tmp_path / "this", "refused", 4)) == 3
    assert dead.lease.kept["deployment"]
    assert dead.machine.phase is Phase.VERIFYING


@pytest.mark.parametrize(("until", "code"), [(to_verified, 3), (to_baking, 11)])
def test_environment_that_does_not_answer(dead: Deployment, until: Callable[[Deployment], None], code: int) -> None:
    """After the switch was begun the live state is unknown; before that traffic never moved."""
    until(dead)

    def unreachable() -> tuple[Settings, Environment | None]:
        raise CloudUnreachable("dynamodb GetItem: no answer")

    assert recover.settle(unreachable, dead.folder) == code


@pytest.mark.parametrize(("until", "code"), [(to_verified, 3), (to_baking, 11)])
def test_environment_that_is_gone(dead: Deployment, until: Callable[[Deployment], None], code: int) -> None:
    until(dead)
    assert recover.settle(lambda: (SETTINGS, None), dead.folder) == code
