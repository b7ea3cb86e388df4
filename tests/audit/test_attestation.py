"""Signing and archiving of the evidence; neither changes a verdict or shows a key."""

from __future__ import annotations

import base64
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from deployment.errors import CloudUnreachable, NoKey, NotFound, SettingsError
from deployment.evidence import archive, keys
from deployment.evidence.archive import Archive
from deployment.evidence.attestation import (
    ENVELOPE_FILE,
    SIGNED_FILES,
    SUMMARY_FILE,
    Checker,
    Signer,
    envelope_of,
    why_unsigned,
)
from deployment.evidence.journal import Journal, read
from deployment.evidence.store import copies
from tests.audit.evidence import ENVIRONMENT, GATES, Estate, MemoryStore, Run, make_run, private_pem
from tests.deployment.fakes import FakeClock


def statement_of(run: Run) -> dict[str, Any]:
    document = json.loads((run.folder / ENVELOPE_FILE).read_text())
    assert document["payloadType"] == "application/vnd.in-toto+json"
    assert [set(signature) for signature in document["signatures"]] == [{"keyid", "sig"}]
    found: dict[str, Any] = json.loads(base64.b64decode(document["payload"]))
    return found


def test_statement_is_an_in_toto_test_result(run: Run) -> None:
    found = statement_of(run)
    assert found["_type"] == "https://in-toto.io/Statement/v1"
    assert found["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    names = ["verification.json", "audit.jsonl", "data.json", "report.html", "junit.xml", "api:1.1.0"]
    assert [subject["name"] for subject in found["subject"]] == names
    assert found["subject"][-1]["digest"] == {"sha256": "a" * 64}
    predicate = found["predicate"]
    assert predicate["result"] == "WARNED", "an optional gate failed"
    assert predicate["passedTests"] == ["health", "live"]
    assert (predicate["warnedTests"], predicate["failedTests"]) == (["load"], [])


@pytest.mark.parametrize("outcome", ["incomplete", "not_run", "absent"])
def test_gate_without_a_decision_is_in_no_list_of_the_statement(tmp_path: Path, outcome: str) -> None:
    gates = [GATES[0], {**GATES[1], "outcome": outcome, "failed": 0}, {**GATES[2], "outcome": outcome, "failed": 0}]
    predicate = statement_of(make_run(tmp_path, Estate(), gates=gates, verdict="rejected", exit_code=2))["predicate"]
    lists = {name: predicate[name] for name in ("passedTests", "warnedTests", "failedTests")}
    assert lists == {"passedTests": ["health"], "warnedTests": [], "failedTests": []}
    assert predicate["result"] == "FAILED"


@pytest.mark.parametrize(
    ("closed", "result"),
    [
        ({"verdict": "rejected", "exit_code": 1}, "FAILED"),
        ({"verdict": "rolled_back", "exit_code": 10}, "FAILED"),
        ({"verdict": "rolled_back", "exit_code": 0}, "WARNED"),
        ({"verdict": "refused", "exit_code": 4}, "FAILED"),
        ({"verdict": "rolled_back", "exit_code": None, "recovered": True}, "FAILED"),
    ],
)
def test_result_follows_from_the_verdict(tmp_path: Path, closed: dict[str, Any], result: str) -> None:
    assert statement_of(make_run(tmp_path, Estate(), **closed))["predicate"]["result"] == result


def test_copies_are_stored_under_environment_and_run(run: Run) -> None:
    name = run.folder.name
    stored = (*SIGNED_FILES, ENVELOPE_FILE, SUMMARY_FILE)
    assert run.estate.store.kept == {f"test/{name}/{file}": (run.folder / file).read_bytes() for file in stored}
    last = run.lines[-1]
    assert json.loads(run.estate.lease.kept["heads"]) == {name: [last["seq"], last["hash"]]}


def test_the_heads_of_twenty_runs_are_kept(tmp_path: Path) -> None:
    estate = Estate()
    runs = [make_run(tmp_path, estate, f"run-{number:02}") for number in range(23)]
    assert list(json.loads(estate.lease.kept["heads"])) == [run.folder.name for run in runs[3:]]
    assert runs[-1].bad() == {}
    assert list(runs[0].bad()) == [], "the copy in the store remains after the note is dropped"


def test_run_that_is_recovered_later_is_archived_again(run: Run) -> None:
    """A halted deployment is closed twice: its journal continues, and the store keeps both copies."""
    journal = Journal(run.journal, "recoverer", FakeClock())
    journal.append("recovering", phase="HALTED")
    archive.close(journal, run.folder, [("closed", {"verdict": "rolled_back"})], run.estate.archive)
    assert run.bad() == {}
    names = {file.rpartition("/")[2] for file in run.estate.store.kept}
    changed = {"audit-2.jsonl", "evidence-2.dsse.json", "verification-2.json", "data-2.json", "junit-2.xml"}
    changed |= {"summary-2.dsse.json"}
    assert names == {*SIGNED_FILES, ENVELOPE_FILE, SUMMARY_FILE, *changed}
    run.rewrite(run.lines[:7])
    assert {"head", "copy"} <= set(run.bad())


def test_unusable_signing_key_is_not_shown(tmp_path: Path) -> None:
    run = make_run(tmp_path, Estate(pem="-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----"))
    assert not (run.folder / ENVELOPE_FILE).exists()
    line = next(line for line in run.lines if line["kind"] == "unsigned")
    assert line["reason"] == "the signing key is not an Ed25519 private key in PEM (PKCS#8, no password)"
    assert "canary" not in run.journal.read_text()
    assert [record.kind for record in read(run.journal)][-1] == "closed"


class Unreachable(MemoryStore):
    """A store that does not answer."""

    def put(self, name: str, content: bytes) -> None:  # noqa: ARG002  # the port's signature
        raise CloudUnreachable("s3 PutObject: no answer")


def test_unreachable_store_changes_no_verdict(tmp_path: Path) -> None:
    messages: list[str] = []
    estate, folder = Estate(store=Unreachable()), tmp_path / "one"
    journal = Journal(folder / "audit.jsonl", "tester", FakeClock())
    journal.append("opened", deployment_id="one")
    report = archive.close(journal, folder, [("closed", {"verdict": "promoted"})], estate.archive, messages.append)
    assert report["verdict"] == "promoted"
    assert (tmp_path / "latest" / "verification.json").exists()
    assert [record.kind for record in read(journal.path)][-2:] == ["closed", "not_stored"]
    assert messages[0] == "the journal was not copied to the audit store: s3 PutObject: no answer"
    run = Run(folder, estate)
    assert run.bad() == {}, "it is still signed and anchored beside the lease"


class Hanging(MemoryStore):
    """A store that answers only after the test allows it."""

    def __init__(self) -> None:
        super().__init__()
        self.allowed = threading.Event()
        self.asked: list[str] = []

    def put(self, name: str, content: bytes) -> None:
        self.asked.append(name)
        self.allowed.wait()
        super().put(name, content)


def test_store_that_hangs_delays_no_run_beyond_the_deadline(tmp_path: Path) -> None:
    messages: list[str] = []
    store = Hanging()
    estate, folder = Estate(store=store), tmp_path / "one"
    journal = Journal(folder / "audit.jsonl", "tester", FakeClock())
    journal.append("opened", deployment_id="one")
    places = replace(estate.archive, upload_s=0.2)
    report = archive.close(journal, folder, [("closed", {"verdict": "promoted"})], places, messages.append)
    assert report["verdict"] == "promoted"
    late = "the audit store did not take it in time; no more is uploaded for this run"
    assert messages == [
        f"the journal was not copied to the audit store: {late}",
        f"{ENVELOPE_FILE}, verification.json, data.json, junit.xml: not copied to the audit store: {late}",
    ]
    store.allowed.set()
    for thread in threading.enumerate():
        if thread.name == "audit-store":
            thread.join(10)
    assert len(store.asked) == 1, "after the deadline the store is not asked again"
    assert Run(folder, estate).bad() == {}, "a copy that came late contradicts nothing"
    assert [one.what for one in Run(folder, estate).examine() if one.what == "copy"] == ["copy"]


def test_a_line_that_only_the_journal_has_is_found_unless_it_says_that_no_copy_was_stored(run: Run) -> None:
    journal = Journal(run.journal, "tester", FakeClock())
    journal.append("closed", verdict="rejected")
    assert "copy" in run.bad()


def test_store_of_an_earlier_version_stays_valid(run: Run) -> None:
    """It has the journal and the signature alone."""
    kept, name = run.estate.store.kept, run.folder.name
    for file in ("verification.json", "data.json", "report.html", "junit.xml", SUMMARY_FILE):
        del kept[f"test/{name}/{file}"]
    assert [one.what for one in run.examine() if not one.good] == []
    assert sorted(copies.fetch(run.estate.store, "test", name)) == ["audit.jsonl", ENVELOPE_FILE]


def test_fetch_returns_the_signed_copy_of_each_file(run: Run) -> None:
    """A recovered run can have a file whose second copy was signed, and one that never changed."""
    journal = Journal(run.journal, "recoverer", FakeClock())
    journal.append("recovering", phase="HALTED")
    archive.close(journal, run.folder, [("closed", {"verdict": "rolled_back"})], run.estate.archive)
    store, name = run.estate.store, run.folder.name
    store.put(f"test/{name}/report-2.html", b"by another principal")
    found = copies.fetch(store, "test", name)
    assert found == {file: (run.folder / file).read_bytes() for file in (*SIGNED_FILES, ENVELOPE_FILE, SUMMARY_FILE)}
    assert copies.runs(store, "test") == {name: [ENVELOPE_FILE, SUMMARY_FILE, *SIGNED_FILES]}
    assert copies.fetch(store, "test", "another") == {}


def test_broken_lease_note_prevents_no_report(tmp_path: Path) -> None:
    estate = Estate()
    estate.lease.kept["heads"] = "{"
    run = make_run(tmp_path, estate)
    assert (run.folder / "verification.json").exists()


def test_death_before_the_signature_leaves_an_unsigned_report(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    class Deadly(MemoryStore):
        def put(self, name: str, content: bytes) -> None:  # noqa: ARG002  # the port's signature
            raise Killed

    estate = Estate(store=Deadly())
    with pytest.raises(Killed):
        make_run(tmp_path, estate)
    run = Run((tmp_path / "latest").resolve(), estate)
    found = run.bad()
    assert "anchor" in run.unchecked()
    assert found == {"signature": f"{ENVELOPE_FILE} is missing, and the journal gives no reason for that"}


def end_again(run: Run, destination: Archive) -> Run:
    """Close the run once more, as `recover` does after a rollback that had failed; return it."""
    journal = Journal(run.journal, "tester", FakeClock())
    journal.append("recovering", by="tester", phase="HALTED")
    ending = {"verdict": "rolled_back", "exit_code": None, "reason": "bake: slow", "recovered": True}
    archive.close(journal, run.folder, [("closed", ending)], destination)
    return run


def without_key(estate: Estate) -> Archive:
    return Archive(ENVIRONMENT, keys.no_key, estate.store, estate.lease)


def test_signed_run_that_is_recovered_without_a_key_is_unsigned_and_not_forged(run: Run) -> None:
    """The old signature is about other content: it must not stay beside the new report."""
    end_again(run, without_key(run.estate))
    assert run.bad() == {}
    assert run.unchecked().keys() == {"signature"}
    assert not (run.folder / SUMMARY_FILE).exists()
    (run.folder / ENVELOPE_FILE).write_bytes(run.anchors().envelopes[-1])
    assert run.bad() == {}, "fetched from the store, where the signature of the earlier end is the newest"
    assert "of an earlier end" in run.unchecked()["signature"]


def test_unsigned_run_that_is_recovered_with_a_key_is_signed(tmp_path: Path) -> None:
    estate = Estate()
    run = make_run(tmp_path, estate, destination=without_key(estate))
    assert run.unchecked().keys() == {"signature"}
    end_again(run, estate.archive)
    assert (run.bad(), run.unchecked()) == ({}, {})
    assert why_unsigned([(one["kind"], one) for one in run.lines]) is None


def test_old_signature_that_cannot_be_removed_changes_no_outcome(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, missing_ok: bool = False) -> None:
        if self.name in (ENVELOPE_FILE, SUMMARY_FILE):
            raise OSError(30, "Read-only file system")
        remove(self, missing_ok)

    remove = Path.unlink
    monkeypatch.setattr(Path, "unlink", refuse)
    end_again(run, without_key(run.estate))
    assert run.bad() == {}
    assert "of an earlier end" in run.unchecked()["signature"]


def test_signature_that_was_removed_is_missed_also_after_two_signed_ends(run: Run) -> None:
    end_again(run, run.estate.archive)
    (run.folder / ENVELOPE_FILE).unlink()
    assert run.bad() == {"signature": f"{ENVELOPE_FILE} was removed: the audit store has it"}


# -- keys --------------------------------------------------------------------------------------------------------------------


def test_no_key_is_ever_shown(run: Run) -> None:
    pem = run.estate.pem
    secret = "".join(pem.splitlines()[1:-1])
    signer = Signer(pem)
    shown = [repr(signer), str(signer), repr(signer.checker), repr(run.estate.archive)]
    shown += [path.read_text() for path in run.folder.iterdir()] + [repr(run.estate.store.kept)]
    assert [text for text in shown if secret in text or pem in text] == []


def rsa_pem() -> str:
    key = generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize(
    "pem", ["", "canary", rsa_pem(), private_pem()[:60]], ids=["nothing", "no PEM", "RSA", "cut short"]
)
def test_invalid_key_is_refused_and_not_shown(pem: str) -> None:
    for make in (Signer, Checker):
        with pytest.raises(NoKey) as caught:
            make(pem)
        assert caught.value.__context__ is None
        assert not pem or pem not in str(caught.value)


def test_key_comes_from_either_a_secret_or_a_file(run: Run, tmp_path: Path) -> None:
    class Vault:
        def read(self, name: str) -> str:
            if name == "empty":
                raise NotFound("secretsmanager GetSecretValue: ResourceNotFoundException")
            return {"key": run.estate.pem, "public": public.read_text()}[name]

    def forbidden() -> Signer:
        raise AssertionError("whoever only checks must not read the key that signs")

    private, public = tmp_path / "key.pem", tmp_path / "key.pub"
    private.write_text(run.estate.pem)
    key = load_pem_private_key(run.estate.pem.encode(), None).public_key()
    public.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    envelope = envelope_of((run.folder / ENVELOPE_FILE).read_bytes())
    from_secret, from_file = keys.signer(Vault(), "key", None), keys.signer(Vault(), None, private)
    for checker in (
        keys.checker(from_secret, None),
        keys.checker(from_file, None),
        keys.checker(keys.no_key, keys.public(Vault(), None, public)),
        keys.checker(forbidden, keys.public(Vault(), "public", None)),
        keys.checker(forbidden, keys.public(Vault(), "private", public)),  # the file counts
    ):
        assert checker().check(envelope)
    with pytest.raises(SettingsError, match="both"):
        keys.signer(Vault(), "key", private)
    for missing in (keys.signer(Vault(), None, None), keys.signer(Vault(), None, tmp_path / "none"), keys.no_key):
        with pytest.raises(NoKey):
            missing()
    with pytest.raises(NoKey):
        keys.checker(keys.no_key, None)()
    with pytest.raises(NoKey, match="the secret empty") as caught:
        keys.checker(forbidden, keys.public(Vault(), "empty", None))()
    assert "openssl pkey" in str(caught.value.hint)


def test_run_without_an_environment_is_journalled_as_unsigned(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "one" / "audit.jsonl", "tester", FakeClock())
    archive.close(journal, tmp_path / "one", [("closed", {"verdict": "refused"})])
    assert [(record.kind, record.data.get("reason")) for record in read(journal.path)] == [
        ("unsigned", "the run reached no environment"),
        ("closed", None),
    ]
    assert Archive(ENVIRONMENT, keys.no_key, None).lease is None
