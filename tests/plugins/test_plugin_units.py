"""Unit tests of the scheduler, of counting outcomes, and of the recorder."""

from __future__ import annotations

import base64
import gc
import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from deployment.errors import Refused
from deployment.evidence.archive import NOWHERE
from deployment.evidence.verdict import CheckOutcome
from plugins.integrity.outcomes import outcome_of, shortened
from plugins.integrity.process_guard import file_hashes
from plugins.modes.coordinator import Coordinator
from plugins.modes.verify import VerifyMode
from plugins.recorder import Measurement, Recorder, measurements_in, requests_in, samples_in
from plugins.scheduling.garbage import RARELY, Garbage
from plugins.scheduling.parallel import AHEAD, BARRIER, PhaseScheduler, decode
from plugins.stages import Check, Stage, folder_of, gate_of_name, problems_of
from tests.checkout import CHECKOUT


class Node:
    """A worker that records the items it was sent."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.shutting_down = False
        self.gateway = SimpleNamespace(id="gw0")

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        """Record the items; xdist's method name."""
        self.sent.extend(indices)


class Run:
    """The part of the coordinator that the scheduler calls."""

    def __init__(self) -> None:
        self.stopped = False
        self.suites = Path("no such folder")
        self.faults: list[str] = []
        self.collection_errors = 0
        self.entered: list[Stage] = []
        self.refusal: Refused | None = None
        self.expected: list[Check] = []
        self.held = False
        self.again: list[str] = []

    def settle(self) -> list[str]:
        """Release the checks; name those that must begin again."""
        self.held = False
        return self.again

    def expect(self, checks: Sequence[Check], *_: object, **__: object) -> None:
        """Record the expected checks."""
        self.expected = list(checks)

    def record_workers(self, *_: object) -> None:
        """Nothing is journalled."""

    def enter(self, stage: Stage) -> bool:
        """Record the stage; allow it unless the run was stopped."""
        self.entered.append(stage)
        return not self.stopped

    def fault(self, _where: str, what: str) -> None:
        """Record a fault."""
        self.faults.append(what)

    def stop(self, _reason: object) -> None:
        """Stop the run."""
        self.stopped = True

    def refuse(self, error: Refused) -> None:
        """Record the refusal and stop the run."""
        self.refusal = error
        self.stopped = True


def collection(*stages: Stage, problem: str | None = None, **files: str) -> list[str]:
    """Return the collection that a worker reports: one check of each stage, and the barrier."""
    facts = {
        "gates": ["g"] * len(stages),
        "stages": [int(stage) for stage in stages],
        "samples": [""] * len(stages),
        "exemptions": [None] * len(stages),
        "findings": {"problems": [], "shortened": [], "deselected": 3, "unbound": [], "files": files, "broken": ""},
        "assertion_problem": problem,
        "variables": {},
    }
    name = base64.urlsafe_b64encode(json.dumps(facts).encode()).decode()
    return [*(f"check-{number}" for number in range(len(stages))), f"::{BARRIER}[{name}]"]


def scheduled(workers: int, *stages: Stage) -> tuple[PhaseScheduler, Run, list[Node]]:
    """Return a scheduler whose workers have all collected, with its run and its workers."""
    run, nodes = Run(), [Node() for _ in range(workers)]
    scheduler = PhaseScheduler(cast("Coordinator", run), workers)
    for node in nodes:
        scheduler.add_node(node)
        scheduler.add_node_collection(node, collection(*stages))
    assert scheduler.collection_is_completed
    scheduler.schedule()
    return scheduler, run, nodes


def work_off(scheduler: PhaseScheduler, nodes: Sequence[Node], barrier: int) -> list[tuple[int, int]]:
    """Act as the workers, each of which runs an item only once it has the next one; return (worker, check) in order."""
    done, position = [], [0] * len(nodes)
    progress = True
    while progress and not scheduler.tests_finished:
        progress = False
        for number, node in enumerate(nodes):
            if not node.shutting_down and position[number] + 1 < len(node.sent):
                index = node.sent[position[number]]
                position[number] += 1
                progress = True
                scheduler.mark_test_complete(node, index)
                if index != barrier:
                    done.append((number, index))
    return done


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_each_check_runs_once_and_stage_by_stage(workers: int) -> None:
    stages = [stage for stage in (*Stage, *Stage, Stage.FUNCTIONAL) for _ in range(2)]
    scheduler, run, nodes = scheduled(workers, *stages)
    done = work_off(scheduler, nodes, len(stages))
    assert scheduler.tests_finished
    assert run.entered == list(Stage)
    assert sorted(index for _, index in done) == list(range(len(stages)))
    order = [stages[index] for _, index in done]
    assert order == sorted(order)
    for alone in (Stage.LATENCY, Stage.LOAD):
        assert len({worker for worker, index in done if stages[index] is alone}) == 1


def test_nothing_of_the_next_stage_is_sent_ahead() -> None:
    _, run, (node,) = scheduled(1, Stage.HEALTH, Stage.HEALTH, Stage.HEALTH, Stage.FUNCTIONAL)
    assert node.sent == [0, 1][:AHEAD]
    assert run.entered == [Stage.HEALTH]


@pytest.mark.parametrize("workers", [1, 2])
def test_held_run_settles_when_no_check_runs_and_then_goes_on(workers: int) -> None:
    """The checks that were sent already run first; a check that was cut short runs again, and every other one once."""
    scheduler, run, nodes = scheduled(workers, *[Stage.FUNCTIONAL] * 8)
    run.held, run.again = True, ["check-1"]
    done = [index for _, index in work_off(scheduler, nodes, 8)]
    assert scheduler.tests_finished
    assert not run.held
    sent = AHEAD * workers
    assert sorted(done[:sent]) == list(range(sent))
    assert sorted(done) == sorted([*range(8), 1])


def test_pending_checks_of_a_lost_worker_go_to_others() -> None:
    scheduler, _, nodes = scheduled(2, *[Stage.HEALTH] * 6)
    lost, other = nodes
    begun, waiting = lost.sent[:2]
    lost.shutting_down = True
    assert scheduler.remove_node(lost) == f"check-{begun}"
    done = [index for _, index in work_off(scheduler, [other], 6)]
    assert scheduler.tests_finished
    assert waiting in other.sent
    assert begun not in done


def test_stopped_run_sends_no_more_checks() -> None:
    scheduler, run, nodes = scheduled(2, *[Stage.HEALTH] * 8, Stage.FUNCTIONAL)
    run.stopped = True
    work_off(scheduler, nodes, 9)
    assert scheduler.tests_finished
    assert run.entered == [Stage.HEALTH]
    assert sum(len([index for index in node.sent if index != 9]) for node in nodes) == 2 * AHEAD


def test_workers_must_collect_the_same_checks() -> None:
    run, nodes = Run(), [Node(), Node()]
    scheduler = PhaseScheduler(cast("Coordinator", run), 2)
    for node, stage in zip(nodes, (Stage.HEALTH, Stage.LIVE), strict=True):
        scheduler.add_node(node)
        scheduler.add_node_collection(node, collection(stage))
    scheduler.schedule()
    assert run.refusal is not None
    assert scheduler.tests_finished
    assert [node.sent for node in nodes] == [[], []]


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (collection(Stage.HEALTH, problem="Python runs without assertions"), "a failing check would pass"),
        (collection(Stage.HEALTH, **{"health/test_health.py": "other"}), "another suites/health/test_health.py"),
    ],
    ids=["without assertions", "other files"],
)
def test_each_worker_must_run_the_checks_of_this_folder(one: list[str], expected: str) -> None:
    run, nodes = Run(), [Node(), Node()]
    scheduler = PhaseScheduler(cast("Coordinator", run), 2)
    for node, collected in zip(nodes, (collection(Stage.HEALTH), one), strict=True):
        scheduler.add_node(node)
        scheduler.add_node_collection(node, collected)
    scheduler.schedule()
    assert expected in str(run.refusal)
    assert [node.sent for node in nodes] == [[], []]


SHARED = {"health/test_health.py": "def test_a(): ...", "health/pages.yaml": "checks: []", "live/rows.csv": "a"}


@pytest.mark.parametrize("changed", [None, *SHARED, "conftest.py"])
def test_all_workers_must_have_every_file_of_this_folder(tmp_path: Path, changed: str | None) -> None:
    """Workers in another folder agree with each other, so only the controller's own files show it."""
    for folder in ("suites", "elsewhere"):
        for name, text in SHARED.items():
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / name).write_text(text)
    if changed:
        (tmp_path / "elsewhere" / changed).write_text("other")
    run, nodes = Run(), [Node(), Node()]
    run.suites = tmp_path / "suites"
    scheduler = PhaseScheduler(cast("Coordinator", run), 2)
    for node in nodes:
        scheduler.add_node(node)
        scheduler.add_node_collection(node, collection(Stage.HEALTH, **file_hashes(tmp_path / "elsewhere")))
    scheduler.schedule()
    assert (run.refusal is None) == (changed is None)
    assert changed is None or f"another suites/{changed}" in str(run.refusal)


def test_hashes_of_files_are_of_their_content(tmp_path: Path) -> None:
    """Python's caches are left out; a file behind a link counts like any other."""
    for name in ("health/a.yaml", "health/__pycache__/a.pyc", "b"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "link").symlink_to("b")
    expected = {"b": b"b", "health/a.yaml": b"health/a.yaml", "link": b"b"}
    assert file_hashes(tmp_path) == {name: hashlib.sha256(data).hexdigest() for name, data in expected.items()}


def test_worker_that_replaces_a_lost_one_must_collect_the_same() -> None:
    """A file that changed during the run would otherwise be checked by its new content, or by another check's index."""
    scheduler, run, [lost] = scheduled(1, *[Stage.HEALTH] * 4)
    lost.shutting_down = True
    scheduler.remove_node(lost)
    late = Node()
    scheduler.add_node(late)
    scheduler.add_node_collection(late, collection(*[Stage.HEALTH] * 4, **{"health/test_health.py": "changed"}))
    scheduler.schedule()
    assert len(run.faults) == 1
    assert late.sent == []
    assert scheduler.tests_finished


def test_collection_carries_gates_stages_and_deselected() -> None:
    found = decode(collection(Stage.LOAD, Stage.BAKE))
    assert [(check.gate, check.stage) for check in found.checks] == [("g", Stage.LOAD), ("g", Stage.BAKE)]
    assert found.findings.deselected == 3


def report(when: str, outcome: str, **more: Any) -> pytest.TestReport:
    """Return a report of a check."""
    return pytest.TestReport("x", ("x.py", 1, "x"), {}, cast("Any", outcome), None, cast("Any", when), **more)


@pytest.mark.parametrize(
    ("when", "outcome", "expected"),
    [
        ("setup", "passed", None),
        ("teardown", "passed", None),
        ("call", "passed", CheckOutcome.PASSED),
        ("call", "failed", CheckOutcome.FAILED),
        ("setup", "failed", CheckOutcome.ERROR),
        ("teardown", "failed", CheckOutcome.ERROR),
        ("???", "failed", CheckOutcome.ERROR),
        ("setup", "skipped", CheckOutcome.INCONCLUSIVE),
        ("call", "skipped", CheckOutcome.INCONCLUSIVE),
        ("call", "rerun", CheckOutcome.INCONCLUSIVE),
        ("setup", "rerun", CheckOutcome.INCONCLUSIVE),
    ],
)
def test_outcome_of_one_report(when: str, outcome: str, expected: CheckOutcome | None) -> None:
    assert outcome_of(report(when, outcome)) is expected


def test_evidence_is_handed_over_once() -> None:
    recorder, shared = Recorder(), cast("list[tuple[str, object]]", [])
    recorder.requested(3)
    recorder.measured(Measurement("p95", 1.5, 2.0, "ms", 10))
    first, second = report("setup", "passed"), report("call", "passed")
    first.user_properties = second.user_properties = shared
    recorder.hand_over(first)
    recorder.requested(1)
    recorder.hand_over(second)
    assert requests_in(first) + requests_in(second) >= 4
    assert measurements_in(first) == [Measurement("p95", 1.5, 2.0, "ms", 10)]
    assert measurements_in(second) == []


def test_samples_count_for_every_check_that_uses_the_measurement() -> None:
    recorder = Recorder()
    recorder.requested(300, "load_result")
    recorder.requested(200, "load_result")  # the measurement was repeated: the last one counts
    reports = [report("setup", "passed"), report("call", "passed"), report("call", "passed"), report("call", "passed")]
    for one, fixtures in zip(reports, [["load_result"], ["load_result"], ["client"], ["load_result"]], strict=True):
        recorder.hand_over(one, fixtures)
    assert [samples_in(one) for one in reports] == [0, 200, 0, 200]
    assert [requests_in(one) for one in reports] == [500, 0, 0, 0]


def test_gates_are_folders(tmp_path: Path) -> None:
    suites = tmp_path / "suites"
    assert folder_of(suites / "auth" / "deep" / "test_x.py", suites) == "auth"
    assert folder_of(suites / "test_x.py", suites) == ""
    assert folder_of(tmp_path / "tests" / "test_x.py", suites) == ""
    names = (
        "suites/auth/test_x.py::test_y[a]",
        "suites/service.yaml::auth::signs in (user)",
        "suites/x.py::y",
        "tests/a/x.py::y",
    )
    assert [gate_of_name(name, "suites") for name in names] == ["auth", "auth", "", ""]
    checks = [Check("a", "auth", Stage.FUNCTIONAL), Check("a", "auth", Stage.FUNCTIONAL), Check("b", "", Stage.LIVE)]
    assert len(list(problems_of(checks))) == 2


def test_the_collector_of_garbage_is_restored_after_a_run() -> None:
    before = gc.get_threshold(), gc.get_freeze_count()
    garbage = Garbage()
    garbage.pytest_collection_finish()
    assert gc.get_threshold() == RARELY
    assert gc.get_freeze_count() > before[1]
    garbage.pytest_unconfigure()
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before[0], 0)


def test_slow_libraries_are_imported_only_where_they_are_needed() -> None:
    """A worker and the verification of an address call no AWS API; only `up` and `down` of an embedded environment ask its database."""
    program = (
        "import importlib, sys\n"
        "from plugins.framework import pytest_plugins\n"
        "for name in pytest_plugins: importlib.import_module(name)\n"
        "slow = {'boto3', 'cryptography', 'jsonschema_rs', 'psycopg', 'redis', 'securesystemslib', 'scipy', 'locust'}\n"
        "print(sorted((slow | {'jinja2'}) & set(sys.modules)))\n"
        "import plugins.modes.coordinator, plugins.modes.verify\n"
        "print(sorted(slow & set(sys.modules)))\n"
        "import infrastructure.compose\n"
        "print(sorted({'psycopg', 'scipy', 'locust'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT.root, capture_output=True, text=True, check=False
    )
    assert (ran.stdout, ran.stderr) == ("[]\n[]\n[]\n", "")


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("as long as it may be", "as long as it may be"),
        ("GET /consults: p95 612.4 ms, limit", "GET /consults: p95 …"),
        ("twelve words, then another", "twelve words, then …"),
        ("GET https://a.example.com/a/long/path", "GET https://a.examp …"),
        ("x" * 30, "x" * 19 + " …"),
        ("", ""),
    ],
)
def test_a_long_message_ends_after_a_whole_word(text: str, short: str) -> None:
    assert shortened(text, 21) == short


@pytest.mark.parametrize("one_check", [True, False])
def test_the_store_keeps_no_evidence_of_a_single_check(one_check: bool) -> None:
    """`scripts/deploy.py check` is run often while a check is written; an audit store with Object Lock forgets nothing."""
    run = SimpleNamespace(options=SimpleNamespace(one_check=one_check))
    mode = VerifyMode(cast(Any, run), cast(Any, None))
    kept = object()
    mode._environment = cast(Any, SimpleNamespace(archive=lambda: kept))
    assert (mode.archive() is NOWHERE) is one_check
    assert (mode.archive() is kept) is not one_check
