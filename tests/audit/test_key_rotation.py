"""Keys rotate: each run names the key that signs it, and the keyring's earlier keys still check older runs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from deployment.errors import NoKey
from deployment.evidence import keys
from deployment.evidence.archive import EvidenceWriter
from deployment.evidence.attestation import Checker, Signer
from deployment.evidence.audit import Anchors, Finding, Outcome, examine
from deployment.evidence.journal import JOURNAL_FILE, Journal, last_data
from deployment.settings import load
from infrastructure.estate import earlier_public_key_files
from tests.audit.evidence import Estate, Run, make_run, private_pem
from tests.checkout import SETTINGS_FILE
from tests.deployment.fakes import FakeClock
from verification.redaction.redactor import LearningRedactor


def public_pem(private: str) -> str:
    key = load_pem_private_key(private.encode(), None)
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def signature(run: Run, checker: Checker) -> Finding:
    found = examine(run.folder, JOURNAL_FILE, Anchors(), lambda: checker)
    return next(one for one in found if one.what == "signature")


def test_a_run_names_its_key_as_openssl_does(run: Run, tmp_path: Path) -> None:
    (tmp_path / "public.pem").write_text(public_pem(run.estate.pem))
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", tmp_path / "public.pem", "-outform", "DER"],
        check=True,
        capture_output=True,
    ).stdout
    named = run.lines[-1]["signed_by"]
    assert named == f"sha256:{hashlib.sha256(der).hexdigest()}"
    assert named == Signer(run.estate.pem).checker.fingerprint


def test_an_unsigned_run_names_no_key(tmp_path: Path) -> None:
    assert "signed_by" not in make_run(tmp_path, Estate(pem="none")).lines[-1]


@pytest.mark.parametrize("later", ["the same", "another", "none"])
def test_a_run_that_recover_closes_again_names_the_key_that_signs_now(run: Run, tmp_path: Path, later: str) -> None:
    """`recover` repeats the line ``closed`` of a run that halted, for instance if the way back is still shut."""
    pem = {"the same": run.estate.pem, "another": private_pem(), "none": "none"}[later]
    archive = dataclasses.replace(run.estate, pem=pem).archive
    journal = Journal(run.folder / JOURNAL_FILE, "another", FakeClock())
    EvidenceWriter(archive=archive).close(journal, run.folder, dict(last_data(journal.records(), "closed")))
    named = last_data(journal.records(), "closed").get("signed_by")
    assert named == (None if later == "none" else Signer(pem).checker.fingerprint)


def test_an_earlier_key_checks_an_older_run(run: Run, tmp_path: Path) -> None:
    old, new = tmp_path / "old.pem", tmp_path / "new.pem"
    old.write_text(public_pem(run.estate.pem))
    new.write_text(public_pem(private_pem()))
    alone, ring = (keys.checker(keys.no_key, keys.public(None, None, new), earlier)() for earlier in ((), (old,)))
    foreign = signature(run, alone)
    assert foreign.outcome is Outcome.BAD
    names = [Signer(run.estate.pem).checker.fingerprint[:15], alone.fingerprint[:15]]
    words = "the run names the key {}…, this environment has {}…: it was signed elsewhere, or this is not the run's"
    assert foreign.detail.startswith(words.format(*names))
    found = signature(run, ring)
    assert found.good
    assert found.detail == f"by an earlier key, {Signer(run.estate.pem).checker.fingerprint}"
    old.unlink()
    with pytest.raises(NoKey, match=r"old\.pem cannot be read"):
        keys.checker(keys.no_key, keys.public(None, None, new), (old,))()


def test_a_key_that_the_journal_does_not_name_is_found(tmp_path: Path) -> None:
    """Whoever has an old key cannot sign a run again that names the new one."""
    run = make_run(tmp_path, Estate())
    other = make_run(tmp_path / "other", Estate())
    lines = run.lines
    lines[-1]["signed_by"] = Signer(other.estate.pem).checker.fingerprint
    forged = make_run(tmp_path / "forged", Estate(pem=run.estate.pem), signing_key_named="x")
    ring = Checker(public_pem(other.estate.pem), public_pem(run.estate.pem))
    assert signature(forged, ring).good
    forged.rewrite(lines)
    found = signature(forged, ring)
    assert found.outcome is Outcome.BAD
    assert "but the journal names" in found.detail


def test_the_keyring_is_part_of_the_settings(tmp_path: Path) -> None:
    text = SETTINGS_FILE.read_text().replace(
        'lease_table = "production-telehealth-deploy-state"',
        'lease_table = "production-telehealth-deploy-state"\nearlier_public_key_files = ["keys/2025.pem", "keys/2026.pem"]',
        1,
    )
    for name in ("checklist.toml", "pytest.ini"):
        (tmp_path / name).write_text((SETTINGS_FILE.parent / name).read_text())
    (tmp_path / "suites").symlink_to(SETTINGS_FILE.parent / "suites")
    (tmp_path / "deployment.toml").write_text(text)
    settings = load(tmp_path / "deployment.toml", "production")
    assert earlier_public_key_files(settings) == (tmp_path / "keys/2025.pem", tmp_path / "keys/2026.pem")


def test_redaction_leaves_the_fingerprint_of_the_key(tmp_path: Path) -> None:
    """A field whose name contains `key` would be hidden, and the signature could not be compared with it."""
    run = make_run(tmp_path, Estate())
    assert LearningRedactor({}).clean(json.dumps(run.lines[-1])) == json.dumps(run.lines[-1])
