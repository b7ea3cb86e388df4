"""Attestations before a run: for one digest, with the principal who recorded them, stored beside the lock."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployment.access import Access, Duty
from deployment.errors import CloudError, NotPermitted
from deployment.evidence.checklist import Attestation, evaluate
from deployment.evidence.journal import Record
from deployment.model import Caller
from deployment.preflight.attestations import DIGESTS_KEPT, NOTE, record, recorded
from deployment.preflight.checklist import Entry, as_data
from tests.deployment.harness import Deployment

JANE = Caller("arn:aws:sts::123456789012:assumed-role/reviewer/jane", "123456789012")
REVIEWED = {"code-review": Attestation("jane", "pull request 4711")}


def test_attestation_counts_for_one_digest_and_names_who_recorded_it(tmp_path: Path) -> None:
    one = Deployment(tmp_path)
    noted = record(one.ports, Access(), JANE, "sha256:1", REVIEWED)
    assert recorded(one.lease, "sha256:1") == noted
    assert recorded(one.lease, "sha256:2") == {}
    assert (noted["code-review"].by, noted["code-review"].at) == (JANE.arn, "2026-11-22T12:00:00+00:00")
    data = as_data([Entry("pre", "code-review", "Code review completed")], noted, "required")
    [found] = evaluate([Record(0, "", "", "checklist", data, "", "")])
    assert found["outcome"] == "attested"
    assert found["evidence"] == f"jane: pull request 4711 (recorded by {JANE.arn} at 2026-11-22T12:00:00+00:00)"


def test_later_attestation_replaces_an_earlier_one(tmp_path: Path) -> None:
    one = Deployment(tmp_path)
    record(one.ports, Access(), JANE, "sha256:1", REVIEWED)
    record(one.ports, Access(), JANE, "sha256:1", {"tests": Attestation("ci", "run 8")})
    record(one.ports, Access(), JANE, "sha256:1", {"code-review": Attestation("joe", "again")})
    assert {name: word.who for name, word in recorded(one.lease, "sha256:1").items()} == {
        "code-review": "joe",
        "tests": "ci",
    }


def test_attestations_of_the_newest_releases_are_kept(tmp_path: Path) -> None:
    one = Deployment(tmp_path)
    for number in range(DIGESTS_KEPT + 3):
        record(one.ports, Access(), JANE, f"sha256:{number}", REVIEWED)
    assert recorded(one.lease, "sha256:2") == {}
    assert recorded(one.lease, "sha256:3")
    assert len(one.lease.kept[NOTE]) < 10_000, "the note shares an item of limited size with others"


def test_concurrent_attestations_are_all_kept(tmp_path: Path) -> None:
    one = Deployment(tmp_path)
    others: list[int] = []

    def attest_first() -> None:
        if not others:
            others.append(1)
            record(one.ports, Access(), JANE, "sha256:1", {"tests": Attestation("ci", "run 8")})

    one.cloud.hooks["swap_note"] = attest_first
    record(one.ports, Access(), JANE, "sha256:1", REVIEWED)
    assert set(recorded(one.lease, "sha256:1")) == {"code-review", "tests"}
    one.cloud.hooks["swap_note"] = lambda: one.lease.kept.update({NOTE: one.lease.kept[NOTE] + " "})
    with pytest.raises(CloudError, match="other users kept changing"):
        record(one.ports, Access(), JANE, "sha256:1", REVIEWED)


def test_caller_without_approve_and_deploy_cannot_attest(tmp_path: Path) -> None:
    one = Deployment(tmp_path)
    access = Access({Duty.APPROVE: (), Duty.DEPLOY: ()}, {Duty.APPROVE: "access.approve", Duty.DEPLOY: "access.deploy"})
    with pytest.raises(NotPermitted):
        record(one.ports, access, JANE, "sha256:1", REVIEWED)
    assert NOTE not in one.lease.kept
