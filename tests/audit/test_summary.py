"""The verification summary: which runs have one, its content, and its check by ``audit verify``."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployment.evidence import archive
from deployment.evidence.attestation import ENVELOPE_FILE, SUMMARY_FILE, Signer, digests, envelope_of, statement
from deployment.evidence.audit import Anchors
from deployment.evidence.intoto.summary import summary
from deployment.evidence.journal import JOURNAL_FILE, Journal, read
from tests.audit.evidence import GATES, Estate, Run, make_run, private_pem
from tests.deployment.fakes import FakeClock

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "summary.schema.json").read_text())
NOTHING = Anchors()
ALL_GOOD = [{**gate, "outcome": "passed"} for gate in GATES]


def summary_of(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(envelope_of((run.folder / SUMMARY_FILE).read_bytes()).payload)
    jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(found)
    return found


def test_summary_of_a_promotion(run: Run) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    report = f"pkg:generic/deployment-report@{run.folder.name}"
    envelope = digests_of(run)[ENVELOPE_FILE]
    assert summary_of(run) == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "api:1.1.0", "digest": {"sha256": "a" * 64}}],
        "predicateType": "https://slsa.dev/verification_summary/v1",
        "predicate": {
            "verifier": {
                "id": "pkg:generic/blue-green-verification",
                "version": {"blue-green-verification": "1.1.0"},
            },
            "timeVerified": "2026-11-22T12:00:00Z",
            "resourceUri": f"pkg:oci/api@sha256%3A{'a' * 64}?tag=1.1.0",
            "policy": {"uri": "pkg:generic/deployment-project#deployment.toml", "digest": {"sha256": "4" * 64}},
            "inputAttestations": [{"uri": f"{report}#evidence.dsse.json", "digest": {"sha256": envelope}}],
            "verificationResult": "PASSED",
            "verifiedLevels": ["DEPLOYMENT_PROMOTED", "SLSA_BUILD_LEVEL_UNEVALUATED"],
        },
    }
    assert {one.what: one.detail for one in run.examine()}["summary"] == "PASSED, by the environment's key"


def digests_of(run: Run) -> dict[str, str]:

    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in run.folder.iterdir()}


@pytest.mark.parametrize(
    ("closed", "levels"),
    [
        ({"gates": ALL_GOOD}, ["DEPLOYMENT_PROMOTED", "DEPLOYMENT_WITHOUT_WARNINGS", "SLSA_BUILD_LEVEL_UNEVALUATED"]),
        ({"verdict": "verified"}, ["DEPLOYMENT_VERIFIED", "SLSA_BUILD_LEVEL_UNEVALUATED"]),
        ({"verdict": "rejected", "exit_code": 1}, ["FAILED"]),
        ({"verdict": "rolled_back", "exit_code": 10}, ["FAILED"]),
        ({"verdict": "rollback_failed", "exit_code": 11}, ["FAILED"]),
        ({"verdict": "rolled_back", "exit_code": None, "recovered": True, "finished_at": None}, ["FAILED"]),
    ],
)
def test_levels_follow_from_the_verdict(tmp_path: Path, closed: dict[str, Any], levels: list[str]) -> None:
    run = make_run(tmp_path, Estate(), **closed)
    predicate = summary_of(run)["predicate"]
    assert predicate["verifiedLevels"] == levels
    assert predicate["verificationResult"] == ("FAILED" if levels == ["FAILED"] else "PASSED")
    assert run.bad() == {}


@pytest.mark.parametrize("closed", [{"verdict": "refused", "exit_code": 4}, {"verdict": "verified", "partial": True}])
def test_run_that_decides_nothing_about_an_image_has_no_summary(tmp_path: Path, closed: dict[str, Any]) -> None:
    run = make_run(tmp_path, Estate(), **closed)
    assert not (run.folder / SUMMARY_FILE).exists()
    assert run.bad() == {}
    (run.folder / SUMMARY_FILE).write_bytes(
        (make_run(tmp_path, run.estate, "other").folder / SUMMARY_FILE).read_bytes()
    )
    assert list(run.bad()) == ["summary"], "that of another run, with a valid signature, was added"


@pytest.mark.parametrize(
    ("mode", "digest"), [("rollback", "sha256:" + "a" * 64), ("retire", None), ("verify", None), ("unlock", None)]
)
def test_command_and_unknown_image_have_no_summary(tmp_path: Path, mode: str, digest: str | None) -> None:
    """A rollback by hand proves no test of the image that it goes back to."""
    journal = Journal(tmp_path / "one" / JOURNAL_FILE, "tester", FakeClock())
    journal.append("opened", deployment_id="one", mode=mode, framework="1.1.0", statement_version=2)
    journal.append("planned", image="api:1.1.0", digest=digest)
    estate = Estate()
    closed = {"verdict": "verified" if mode == "verify" else "rolled_back", "exit_code": 0}
    archive.close(journal, tmp_path / "one", [("closed", closed)], estate.archive)
    assert not (tmp_path / "one" / SUMMARY_FILE).exists()
    assert Run(tmp_path / "one", estate).bad() == {}


def test_deployment_that_is_known_from_its_lease_item_has_a_summary(tmp_path: Path) -> None:
    """Its journal, which ``recover`` began, names neither a mode nor the settings."""
    journal = Journal(tmp_path / "one" / JOURNAL_FILE, "tester", FakeClock())
    journal.append("opened", deployment_id="one", reconstructed=True, framework="1.1.0", statement_version=2)
    journal.append("planned", image="registry.example:5000/Team/api:1.1.0", digest="sha512:" + "a" * 128)
    estate = Estate()
    archive.close(journal, tmp_path / "one", [("closed", {"verdict": "rejected", "recovered": True})], estate.archive)
    predicate = summary_of(Run(tmp_path / "one", estate))["predicate"]
    assert predicate["policy"] == {"uri": "pkg:generic/deployment-project#deployment.toml"}
    assert predicate["resourceUri"] == f"pkg:oci/api@sha512%3A{'a' * 128}?tag=1.1.0"


def test_second_end_of_a_run_replaces_the_summary(run: Run) -> None:
    journal = Journal(run.journal, "recoverer", FakeClock())
    archive.close(journal, run.folder, [("closed", {"verdict": "rolled_back"})], run.estate.archive)
    assert summary_of(run)["predicate"]["verificationResult"] == "FAILED"
    journal.append("again")
    archive.close(journal, run.folder, [("closed", {"verdict": "refused"})], run.estate.archive)
    assert not (run.folder / SUMMARY_FILE).exists()


# -- audit verify ------------------------------------------------------------------------------------------------------


def test_removed_summary_is_found(run: Run) -> None:
    (run.folder / SUMMARY_FILE).unlink()
    assert run.bad() == {"summary": "summary.dsse.json is missing: a run that verified an image has one"}


def test_summary_that_claims_more_is_found(run: Run) -> None:
    """An attacker who has the key can sign it, and it still must follow from the journal."""
    claim = summary_of(run)
    claim["predicate"]["verifiedLevels"] = ["DEPLOYMENT_PROMOTED", "DEPLOYMENT_WITHOUT_WARNINGS"]
    (run.folder / SUMMARY_FILE).write_bytes(Signer(run.estate.pem).sign(claim))
    assert run.bad() == {"summary": "it does not follow from the journal and the signed statement"}


def test_summary_by_another_key_is_found(run: Run) -> None:
    envelope = (run.folder / ENVELOPE_FILE).read_bytes()
    claim = summary(list(read(run.journal)), envelope)
    assert claim is not None
    (run.folder / SUMMARY_FILE).write_bytes(Signer(private_pem()).sign(claim))
    assert run.bad() == {"summary": "not made by the environment's key, or the statement was changed"}


def test_summary_of_a_statement_that_does_not_hold_is_not_checked(run: Run) -> None:
    claim = statement(list(read(run.journal)), digests(run.folder))
    claim["predicate"]["passedTests"].append("load")
    (run.folder / ENVELOPE_FILE).write_bytes(Signer(run.estate.pem).sign(claim))
    assert list(run.bad()) == ["signature", "statement"]
    assert run.unchecked() == {"summary": "the statement that it sums up does not hold"}


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000, b"\xff"])
def test_malformed_summary_is_reported(run: Run, content: bytes) -> None:
    (run.folder / SUMMARY_FILE).write_bytes(content)
    assert run.bad() == {"summary": "summary.dsse.json was changed: it is not a DSSE envelope"}


@pytest.mark.parametrize("payload", [b"", b"[" * 100_000, b'{"predicate":' * 100_000])
def test_malformed_content_of_a_summary_is_reported(run: Run, payload: bytes) -> None:
    document = json.loads((run.folder / SUMMARY_FILE).read_bytes())
    document["payload"] = base64.b64encode(payload).decode()
    (run.folder / SUMMARY_FILE).write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")
    (found,) = run.bad().items()
    assert found[0] == "summary"
    assert found[1].startswith("summary.dsse.json was changed: ")


@pytest.mark.parametrize(("file", "found"), [(ENVELOPE_FILE, "signature"), (SUMMARY_FILE, "summary")])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_change_of_an_envelope_is_found(run: Run, file: str, found: str, data: st.DataObject) -> None:
    """A byte that is replaced, added or removed, or bytes in another order."""
    path = run.folder / file
    whole = path.read_bytes()
    start = data.draw(st.integers(0, len(whole) - 1))
    stop = data.draw(st.integers(start, min(len(whole), start + 3)))
    changed = whole[:start] + data.draw(st.binary(max_size=3)) + whole[stop:]
    try:
        path.write_bytes(changed)
        assert (changed == whole) is (found not in run.bad(NOTHING))
    finally:
        path.write_bytes(whole)
