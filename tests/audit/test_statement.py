"""The signed statement names the tested release and files, in its present and in its first form."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from deployment.evidence import archive
from deployment.evidence.attestation import ENVELOPE_FILE, SUMMARY_FILE, envelope_of
from deployment.evidence.intoto.configuration import FIRST_NAME, inputs
from deployment.evidence.journal import JOURNAL_FILE, Journal
from tests.audit.evidence import GATES, Estate, Run, make_run
from tests.deployment.fakes import FakeClock


def configuration_of(run: Run) -> list[dict[str, Any]]:
    stated = json.loads(envelope_of((run.folder / ENVELOPE_FILE).read_bytes()).payload)
    found: list[dict[str, Any]] = stated["predicate"]["configuration"]
    return found


def test_configuration_names_what_was_run(run: Run) -> None:
    """Name, URI and digest of the run, the checks, the image and every file; each file once."""
    journal = f"pkg:generic/deployment-report@{run.folder.name}#audit.jsonl"
    project = "pkg:generic/deployment-project#"
    found = configuration_of(run)
    assert [(one["name"], one["uri"], one["digest"]) for one in found] == [
        ("deployment-verification", journal, {"sha256": run.lines[0]["hash"]}),
        ("checks", journal, {"sha256": "1" * 64}),
        ("image", f"pkg:oci/api@sha256%3A{'a' * 64}?tag=1.1.0", {"sha256": "a" * 64}),
        ("settings", f"{project}deployment.toml", {"sha256": "4" * 64}),
        ("service", f"{project}suites/service.yaml", {"sha256": "2" * 64}),
        ("suites/auth/test_log in.py", f"{project}suites/auth/test_log%20in.py", {"sha256": "3" * 64}),
    ]
    assert run.bad() == {}


def test_first_name_never_changes(tmp_path: Path) -> None:
    """A refused run has neither checks nor an image, and the same name."""
    journal = Journal(tmp_path / "one" / JOURNAL_FILE, "tester", FakeClock())
    journal.append("opened", deployment_id="one", mode="deploy", statement_version=2)
    estate = Estate()
    archive.close(journal, tmp_path / "one", [("closed", {"verdict": "refused", "exit_code": 4})], estate.archive)
    assert [one["name"] for one in configuration_of(Run(tmp_path / "one", estate))] == [FIRST_NAME]
    assert FIRST_NAME == "deployment-verification"


def test_journal_of_an_older_version_keeps_the_first_form(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "one" / JOURNAL_FILE, "tester", FakeClock())
    journal.append("opened", deployment_id="one", mode="deploy", schema_version=2)
    journal.append("manifest", checks={"health": 2}, sha256="1" * 64, files={})
    journal.append("planned", image="api:1.1.0", digest="sha256:" + "a" * 64)
    estate = Estate()
    archive.close(journal, tmp_path / "one", [("closed", {"verdict": "promoted", "exit_code": 0})], estate.archive)
    run = Run(tmp_path / "one", estate)
    assert configuration_of(run) == [
        {"name": f"audit.jsonl:{line['seq']} {line['kind']}", "digest": {"sha256": line["hash"]}}
        for line in run.lines[:3]
    ]
    assert sorted(path.name for path in run.folder.glob("*.dsse.json")) == [ENVELOPE_FILE], "it has no summary"
    assert run.bad() == {}


@pytest.mark.parametrize("outcome", ["incomplete", "not_run", "absent"])
def test_waived_gate_that_did_not_run_as_a_whole_is_a_warning(tmp_path: Path, outcome: str) -> None:
    gates = [{**GATES[0], "name": "health", "outcome": "passed", "waived": None}]
    gates.append({**GATES[0], "name": "auth", "required": True, "outcome": outcome, "waived": "INC-1 (by sam)"})
    run = make_run(tmp_path, Estate(), gates=gates, opened={"statement_version": 3})
    stated = json.loads(envelope_of((run.folder / ENVELOPE_FILE).read_bytes()).payload)["predicate"]
    assert (stated["result"], stated["warnedTests"], stated["passedTests"]) == ("WARNED", ["auth"], ["health"])
    levels = json.loads(envelope_of((run.folder / SUMMARY_FILE).read_bytes()).payload)["predicate"]["verifiedLevels"]
    assert "DEPLOYMENT_WITHOUT_WARNINGS" not in levels
    assert run.bad() == {}


def test_waived_gate_that_a_rejected_run_did_not_reach_is_no_warning(tmp_path: Path) -> None:
    gates = [{**GATES[0], "name": "auth", "required": True, "outcome": "not_run", "waived": "INC-1 (by sam)"}]
    opened = {"statement_version": 3}
    run = make_run(
        tmp_path, Estate(), gates=gates, opened=opened, verdict="rejected", exit_code=1, reason="health: 500"
    )
    stated = json.loads(envelope_of((run.folder / ENVELOPE_FILE).read_bytes()).payload)["predicate"]
    assert (stated["result"], stated["warnedTests"]) == ("FAILED", [])


def test_statement_of_the_second_form_stays_as_it_was_signed(tmp_path: Path) -> None:
    gates = [{**GATES[0], "name": "auth", "required": True, "outcome": "incomplete", "waived": "INC-1 (by sam)"}]
    run = make_run(tmp_path, Estate(), gates=gates, opened={"statement_version": 2})
    stated = json.loads(envelope_of((run.folder / ENVELOPE_FILE).read_bytes()).payload)["predicate"]
    assert (stated["result"], stated["warnedTests"]) == ("PASSED", [])
    assert run.bad() == {}


@pytest.mark.parametrize(
    ("place", "shown"),
    [("suites/../api.yaml", "api.yaml"), ("suites/a/b.yaml", "suites/a/b.yaml"), ("../elsewhere/c.yaml", "c.yaml")],
)
def test_input_is_named_by_its_path_in_the_project(tmp_path: Path, place: str, shown: str) -> None:
    """No folder outside of the project gets into the evidence."""
    root = tmp_path / "project"
    for folder in (root / "suites" / "a", tmp_path / "elsewhere"):
        folder.mkdir(parents=True)
    (root / place).write_text("openapi")
    (found,) = inputs(root, {"contract": root / place, "checklist": root / "none.toml", "service": None})
    assert (found["role"], found["path"]) == ("contract", shown)
    assert found["sha256"] == hashlib.sha256(b"openapi").hexdigest()
    assert os.fspath(tmp_path) not in json.dumps(found)
