"""What an older version recorded stays readable: its reports verify, its open deployments recover and roll back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import pytest

from deployment.errors import Refused
from deployment.evidence import report
from deployment.evidence.journal import JOURNAL_FILE, Journal, read
from deployment.flow.lease import open_deployment
from deployment.flow.notices import Audience
from deployment.phases import Phase
from deployment.recovery.interrupted_run import recover_run
from deployment.recovery.undo import Undo, last_promotion
from tests.recorded.recordings import FOLDER, Recording

ARCHIVES = sorted(FOLDER.glob("*/*.tar.xz"))
SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "verification.schema.json").read_text())
"""It describes every version of the report."""
NAMES = [f"{path.parent.name}-{path.name.partition('.')[0]}" for path in ARCHIVES]
KILLED = [path for path in ARCHIVES if "killed_" in path.name and "opened" not in path.name]


@pytest.fixture
def recording(request: pytest.FixtureRequest, tmp_path: Path) -> Recording:
    return Recording.unpack(request.param, tmp_path / "recorded")


every_recording = pytest.mark.parametrize("recording", ARCHIVES, ids=NAMES, indirect=True)
every_killed_run = pytest.mark.parametrize(
    "recording", KILLED, ids=lambda path: path.name.partition(".")[0], indirect=True
)


def test_there_are_recordings_of_every_kind() -> None:
    names = {path.name.partition(".")[0] for path in ARCHIVES}
    assert {"promoted", "rolled_back", "killed_provision", "killed_verify", "killed_bake", "ecs_promoted"} <= names


@every_recording
def test_recorded_evidence_still_holds(recording: Recording) -> None:
    finished = [(run, recording.folder) for run in recording.finished("reports")]
    finished += [(run, recording.folder / "after") for run in recording.finished("reports_after")]
    assert finished
    assert {
        run.name: recording.problems(run, answers) for run, answers in finished if recording.problems(run, answers)
    } == {}


@every_recording
def test_recorded_report_follows_from_its_journal(recording: Recording) -> None:
    for run in (*recording.finished("reports"), *recording.finished("reports_after")):
        text = (run / "verification.json").read_text()
        built = report.build_like(list(read(run / JOURNAL_FILE)), json.loads(text))
        assert report.to_json(built) == text
        assert built["schema_version"] == 1
        jsonschema.validate(built, SCHEMA)


@every_recording
def test_changed_recording_does_not_verify(recording: Recording) -> None:
    """The evidence would not hold whatever is in it."""
    run = recording.finished("reports_after")[-1]
    path = run / "verification.json"
    path.write_text(path.read_text().replace("sha256:", "sha256:f", 1) + " ")
    assert recording.problems(run, recording.folder / "after")


def recovered(recording: Recording, reports: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Phase, str]:
    """Recover the recorded open deployment; return its last phase and its id. Traffic is where that phase says."""
    monkeypatch.setattr("deployment.recovery.recover.owner_alive", lambda *_: False)
    cloud, operation = recording.operation()
    found = open_deployment(operation.ports)
    assert found is not None
    phase = recover_run(found, operation, reports, Audience())
    target = found.record.plan.target
    assert cloud.routes.live is (target if phase is Phase.SUCCEEDED else target.other)
    assert open_deployment(operation.ports) is None
    return phase, found.record.deployment_id


@every_killed_run
def test_recorded_open_deployment_recovers(
    recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = tmp_path / "reports"
    shutil.copytree(recording.folder / "reports", reports, symlinks=True)
    phase, run = recovered(recording, reports, monkeypatch)
    verdict = report.VERDICTS[phase]
    assert verdict == recording.verdict_of("recover")
    assert json.loads((reports / run / "verification.json").read_text())["verdict"] == verdict


@every_killed_run
def test_recorded_open_deployment_recovers_with_an_empty_disk(
    recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease item alone is enough to reach a safe end."""
    phase, _ = recovered(recording, tmp_path / "reports", monkeypatch)
    assert phase in (Phase.REJECTED, Phase.ROLLED_BACK, Phase.SUCCEEDED)


@every_recording
def test_recorded_promotion_rolls_back_or_says_why_not(recording: Recording, tmp_path: Path) -> None:
    cloud, operation = recording.operation()
    journal = Journal(tmp_path / "undo" / JOURNAL_FILE, "tester", cloud.clock)
    if recording.verdict_of("rollback") != "rolled_back" or open_deployment(operation.ports) is not None:
        with pytest.raises(Refused):
            last_promotion(operation.ports)
        return
    promotion = last_promotion(operation.ports)
    undo = Undo("undo", operation, journal, lambda _: None)
    undo.run(promotion)
    assert undo.let_go() is None
    assert undo.phase is Phase.ROLLED_BACK, undo.reason
    assert cloud.routes.live is promotion.previous.colour
