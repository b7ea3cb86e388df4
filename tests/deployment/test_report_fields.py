"""``verification.json``: its fields, their order, and how the file is replaced on the disk."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from deployment.evidence import report
from deployment.model import Reason
from deployment.phases import Phase
from tests.deployment.harness import GATES, Deployment

SCHEMA = json.loads(Path(__file__).with_name("report.schema.json").read_text())
FIELDS = [
    "schema_version",
    "framework_version",
    "deployment_id",
    "environment",
    "target",
    "image",
    "digest",
    "version",
    "actor",
    "started_at",
    "finished_at",
    "exit_code",
    "recovered",
    "partial",
    "verdict",
    "reason",
    "live_harmed",
    "gates",
    "steps",
    "promotion",
    "rollback",
    "preflight",
    "checklist",
]
PROMOTION = {"requests": 42, "failed": 0, "longest_gap_ms": 9.1, "switch_s": 0.03}
ROLLBACK = {"reason": "bake: harm", "detected_s": 1.2, "switch_s": 0.03, "requests": 12, "failed": 3}


def closed(one: Deployment, exit_code: int, **traffic: Any) -> dict[str, Any]:
    """Close the journal of an ended deployment and return its report."""
    one.journal.cloud = None
    one.journal.append("traffic", **({"promotion": None, "rollback": None} | traffic))
    one.journal.append("gates", gates=[g.as_report() for g in [*GATES, *report.no_gates(())[1:]]])
    one.journal.append(
        "closed",
        verdict=report.VERDICTS[one.machine.phase],
        exit_code=exit_code,
        reason=one.machine.reason,
        finished_at=one.cloud.clock.now().isoformat(timespec="milliseconds"),
    )
    return report.build(one.records())


def test_report_of_a_promotion(one: Deployment) -> None:
    one.run()
    built = closed(one, 0, promotion=PROMOTION)
    jsonschema.validate(built, SCHEMA)
    assert list(built) == FIELDS
    assert [built[name] for name in ("verdict", "exit_code", "reason", "recovered")] == ["promoted", 0, None, False]
    assert [step["name"] for step in built["steps"]] == ["lease", "provision", "verify", "promote", "live", "bake"]
    assert {step["outcome"] for step in built["steps"]} == {"passed"}
    assert built["promotion"] == PROMOTION
    gates = [gate["name"] for gate in built["gates"]]
    assert gates == ["health", "database", "redis", "auth", "endpoints", "latency", "load", "live"]
    assert list(built["gates"][0]) == [
        *("name", "required", "outcome", "checks", "ran", "failed", "duration_s", "waived")
    ]
    assert list(built["steps"][0]) == ["name", "outcome", "started_at", "duration_s"]


def test_report_of_a_rollback(one: Deployment) -> None:
    one.run(lambda: "harm")
    built = closed(one, 10, promotion=PROMOTION, rollback=ROLLBACK)
    jsonschema.validate(built, SCHEMA)
    assert [step["name"] for step in built["steps"]][-3:] == ["bake", "rollback", "retire"]
    assert [step["outcome"] for step in built["steps"]][-3:] == ["failed", "passed", "passed"]


@pytest.mark.parametrize("dies", ["provision", "set", "logs"])
def test_report_of_a_recovered_run(one: Deployment, dies: str) -> None:
    from tests.deployment.fakes import Killed

    one.cloud.next_errors[dies] = [Killed()]
    one.cloud.hooks[dies] = lambda: setattr(one.cloud, "dead", True)
    with pytest.raises(Killed):
        one.run(lambda: "harm")
    one.cloud.hooks.clear()
    one.mark_dead()
    assert one.recover() in (Phase.REJECTED, Phase.ROLLED_BACK)
    jsonschema.validate(one.report(), SCHEMA)
    assert list(one.report()) == FIELDS


def test_report_of_a_refusal_lists_all_gates_and_no_steps(one: Deployment) -> None:
    one.machine.abandon(Reason.parse("refused: no"), refused=True)
    one.machine.let_go()
    one.journal.cloud = None
    one.journal.append(
        "closed", verdict="refused", exit_code=4, reason="refused: no", finished_at="2026-11-22T12:00:00Z"
    )
    built = report.build(one.records())
    jsonschema.validate(built, SCHEMA)
    assert built["steps"] == []
    assert {gate["outcome"] for gate in built["gates"]} == {"not_run"}


def test_latest_link_is_relative_and_replaced_after_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report.write(tmp_path / "one", {"a": 1})
    replaced: list[tuple[str, bool]] = []
    replace = os.replace

    def spy(source: Path, target: Path) -> None:
        replaced.append((Path(target).name, (tmp_path / "latest" / "verification.json").is_file()))
        replace(source, target)

    monkeypatch.setattr(os, "replace", spy)
    path = report.write(tmp_path / "two", {"a": 2})
    assert replaced == [("verification.json", True), ("latest", True)]
    assert os.readlink(tmp_path / "latest") == "two"
    assert json.loads((tmp_path / "latest" / "verification.json").read_text()) == {"a": 2}
    assert path == tmp_path / "two" / "verification.json"
    assert sorted(os.listdir(tmp_path)) == ["latest", "one", "two"]
    assert os.listdir(tmp_path / "two") == ["verification.json"]
