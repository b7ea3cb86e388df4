"""Every change of a report's folder is found and named."""

from __future__ import annotations

import base64
import json
import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deployment.errors import NoKey
from deployment.evidence import report
from deployment.evidence.attestation import ENVELOPE_FILE, SIGNED_FILES, Signer, digests, statement
from deployment.evidence.audit import Anchors, Outcome, examine
from deployment.evidence.intoto import summary
from deployment.evidence.journal import JOURNAL_FILE, Journal, read
from deployment.evidence.opening import Opening, open_journal
from tests.audit.evidence import Estate, Run, make_run, private_pem
from tests.deployment.fakes import FakeClock

NOTHING = Anchors()


def head_alone(run: Run) -> Anchors:
    return Anchors(head=run.anchors().head)


def copy_alone(run: Run) -> Anchors:
    return replace(run.anchors(), head=None)


def test_untouched_evidence_holds(run: Run) -> None:
    findings = run.examine()
    assert [finding.what for finding in findings if not finding.good] == []
    names = ["chain", "closed", "head", "copy", "report", "signature", *SIGNED_FILES, "summary"]
    assert [finding.what for finding in findings] == names


@pytest.mark.parametrize("anchors", [head_alone, copy_alone])
def test_one_anchor_is_enough(run: Run, anchors: Callable[[Run], Anchors]) -> None:
    assert all(finding.good for finding in run.examine(anchors(run)))


def test_missing_anchor_is_reported(run: Run) -> None:
    assert run.bad(NOTHING) == {}
    assert run.unchecked(NOTHING) == {
        "anchor": "not anchored: neither the lease nor an audit store has a trace of this journal"
    }


# -- the journal -----------------------------------------------------------------------------------------------------------


def test_every_changed_byte_of_the_journal_is_found(run: Run) -> None:
    """The chain alone finds each change and its line: 600 random bytes and every newline."""
    whole = run.journal.read_bytes()
    places = random.Random(7)
    ends = [at for at, byte in enumerate(whole) if byte == 0x0A]
    tried = 0
    for at in sorted({*ends, *places.sample(range(len(whole)), 600)}):
        bit = 1 << places.randrange(8)
        run.journal.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
        line = whole[:at].count(b"\n") + 1
        found = run.bad(NOTHING)
        assert "chain" in found, (at, bit)
        assert f"line {line} " in found["chain"] or at in ends, (at, bit, found["chain"])
        tried += 1
    print(f"journal bytes changed and found: {tried} of {tried}")
    assert tried >= 600


@pytest.mark.parametrize("number", range(1, 7))
def test_removed_line_is_found(run: Run, number: int) -> None:
    lines = run.journal.read_bytes().splitlines(keepends=True)
    run.journal.write_bytes(b"".join(lines[: number - 1] + lines[number:]))
    assert run.bad(NOTHING)["chain"] == f"line {number} of the journal was removed: line {number + 1} is in that place"


def test_several_removed_lines_are_counted(run: Run) -> None:
    lines = run.journal.read_bytes().splitlines(keepends=True)
    run.journal.write_bytes(b"".join(lines[:2] + lines[4:]))
    assert run.bad(NOTHING)["chain"] == "lines 3 to 4 of the journal were removed: line 5 is in that place"


@pytest.mark.parametrize("number", range(1, 7))
def test_repeated_line_is_found(run: Run, number: int) -> None:
    lines = run.journal.read_bytes().splitlines(keepends=True)
    run.journal.write_bytes(b"".join([*lines[:number], *lines[number - 1 :]]))
    assert run.bad(NOTHING)["chain"] == f"line {number + 1} was added, or moved: its number is {number}"


@pytest.mark.parametrize("number", range(1, 7))
def test_swapped_lines_are_found(run: Run, number: int) -> None:
    lines = run.journal.read_bytes().splitlines(keepends=True)
    lines[number - 1], lines[number] = lines[number], lines[number - 1]
    run.journal.write_bytes(b"".join(lines))
    assert run.bad(NOTHING)["chain"].startswith(f"line {number} was moved: its number is {number + 1}")


def test_line_of_another_run_is_found(run: Run, tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", Estate(), "another")
    lines = run.journal.read_bytes().splitlines(keepends=True)
    lines[3] = other.journal.read_bytes().splitlines(keepends=True)[3]
    run.journal.write_bytes(b"".join(lines))
    assert run.bad(NOTHING)["chain"] == "line 4 does not continue line 3: one of the two was replaced"


@pytest.mark.parametrize("left", range(7))
def test_cut_tail_is_found(run: Run, left: int) -> None:
    """The missing end of the journal, the head beside the lease, the copy and the signature show it."""
    lines = run.journal.read_bytes().splitlines(keepends=True)
    run.journal.write_bytes(b"".join(lines[:left]))
    found = run.bad()
    assert ("closed" if left else "chain") in found
    assert found["head"] == f"lines {left + 1} to 7 are missing, or broken: there were 7"
    assert found["copy"].startswith(f"lines {left + 1} to 7 are missing")
    assert found[JOURNAL_FILE] == "was changed: it is not the signed content"


def test_cut_line_is_found(run: Run) -> None:
    run.journal.write_bytes(run.journal.read_bytes()[:-10])
    assert run.bad(NOTHING)["chain"] == "line 7 is incomplete"


@pytest.mark.parametrize("anchors", [head_alone, copy_alone])
def test_rewritten_journal_is_found_by_each_anchor(run: Run, anchors: Callable[[Run], Anchors]) -> None:
    """The new chain is valid, the report follows from it, and another key signs it."""
    known = anchors(run)
    lines = run.lines
    lines[2]["version"] = "6.6.6"
    run.rewrite(lines)
    forge(run, private_pem())
    found = run.bad(known)
    assert {"chain", "closed", "report", JOURNAL_FILE}.isdisjoint(found)
    assert found["signature"]
    assert "rewritten" in found["head"] if known.head else found["copy"].startswith("line 3 differs from the one")


def test_added_lines_are_found(run: Run) -> None:
    known, lines = run.anchors(), run.lines
    run.rewrite([*lines, {**lines[-1], "verdict": "rejected"}])
    found = run.bad(known)
    assert found["head"] == "line 8 was added: the journal had 7 lines when it was closed"
    assert found["copy"].startswith("line 8 was added")


@pytest.mark.parametrize("deep", [b"[" * 3_000_000, b'{"kind":' * 500_000])
@pytest.mark.parametrize("number", [1, 4, 7])
def test_line_that_is_nested_too_deep_is_found(run: Run, number: int, deep: bytes) -> None:
    lines = run.journal.read_bytes().splitlines(keepends=True)
    lines[number - 1] = deep + b"\n"
    run.journal.write_bytes(b"".join(lines))
    found = run.bad()
    assert found["chain"] == f"line {number} was changed: it is not a journal line any more"
    assert found["copy"].startswith(f"line {number} differs from the one")


@pytest.mark.parametrize("deep", [b"[" * 3_000_000, b'{"kind":' * 500_000])
def test_added_line_that_is_nested_too_deep_is_found(run: Run, deep: bytes) -> None:
    known = run.anchors()
    run.journal.write_bytes(run.journal.read_bytes() + deep + b"\n")
    assert run.bad(known)["copy"].startswith("line 8 was added")


def test_unclosed_journal_is_found(run: Run) -> None:
    run.rewrite(run.lines[:-1])
    assert "the journal ends with 'gates' at line 6" in run.bad(NOTHING)["closed"]


# -- report, files, signature ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SIGNED_FILES)
def test_a_changed_file_is_found(run: Run, name: str) -> None:
    path = run.folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    assert run.bad()[name] == "was changed: it is not the signed content"


@pytest.mark.parametrize("name", SIGNED_FILES[2:])
def test_a_removed_file_is_found(run: Run, name: str) -> None:
    (run.folder / name).unlink()
    assert run.bad() == {name: "was removed: the signature covers it"}


def test_an_added_file_is_found(tmp_path: Path) -> None:
    run = make_run(tmp_path, Estate())
    for name in SIGNED_FILES[2:]:
        (run.folder / name).unlink()
    forge(run, run.estate.pem)
    (run.folder / "junit.xml").write_text("<testsuites/>")
    assert run.bad(Anchors(head=run.anchors().head)) == {"junit.xml": "was added: the signature does not cover it"}


def test_missing_journal_is_reported(run: Run) -> None:
    run.journal.unlink()
    assert run.bad() == {"chain": "audit.jsonl does not exist"}


def test_report_that_differs_from_the_journal_is_found(run: Run) -> None:
    """Even a signed report must follow from the journal."""
    path = run.folder / "verification.json"
    changed = json.loads(path.read_text()) | {"verdict": "rejected", "exit_code": 1}
    path.write_text(json.dumps(changed, indent=2) + "\n")
    forge(run, run.estate.pem)
    found = run.bad(head_alone(run))
    assert found == {"report": "verification.json contradicts the journal: exit_code, verdict"}


def without(run: Run, *fields: str) -> None:
    """Write and sign the report as it was before these fields existed."""
    path = run.folder / "verification.json"
    kept = {key: value for key, value in json.loads(path.read_text()).items() if key not in fields}
    path.write_text(report.to_json(kept))
    forge(run, run.estate.pem)


@pytest.mark.parametrize("fields", [("preflight", "checklist"), ("checklist",)], ids=", ".join)
def test_report_written_before_a_field_existed_holds(run: Run, fields: tuple[str, ...]) -> None:
    without(run, *fields)
    assert run.bad(head_alone(run)) == {}


def test_missing_original_field_is_found(run: Run) -> None:
    without(run, "preflight", "live_harmed")
    assert run.bad(head_alone(run)) == {"report": "verification.json contradicts the journal: live_harmed"}


def test_missing_later_field_is_found_if_the_journal_has_it(run: Run) -> None:
    """A run whose journal has preflight items needs them in its report."""
    lines = run.lines
    lines.insert(3, {**lines[2], "kind": "preflight", "items": [{"name": "rights", "outcome": "ok"}]})
    run.rewrite(lines)
    built = report.build(list(read(run.journal)))
    (run.folder / "verification.json").write_text(report.to_json({k: v for k, v in built.items() if k != "preflight"}))
    assert run.bad(NOTHING)["report"] == "verification.json contradicts the journal: preflight"


@pytest.mark.parametrize(
    "content",
    ["[]", '["preflight"]', "7", '"preflight"', "null", "{", '{"gates": null}', "[" * 100_000, '{"a":' * 100_000],
)
def test_malformed_report_is_reported(run: Run, content: str) -> None:
    (run.folder / "verification.json").write_text(content)
    assert run.bad()["report"].startswith("verification.json ")


CHECKLIST = {"phase": "pre", "name": "one", "item": "One", "required": True}
MALFORMED: dict[str, tuple[dict[str, object], ...]] = {
    "an outcome without its result": ({"kind": "outcome", "step": "lease"},),
    "attestations in a list": ({"kind": "checklist", "items": [{**CHECKLIST, "proof": []}], "attested": [1]},),
    "a checklist of numbers": ({"kind": "checklist", "items": [1]},),
    "a message without its event": (
        {"kind": "notified"},
        {"kind": "checklist", "items": [{**CHECKLIST, "proof": ["notified"]}]},
    ),
    "an unknown proof": (
        {"kind": "opened", "schema_version": 2},
        {"kind": "checklist", "items": [{**CHECKLIST, "proof": ["seen x"]}]},
    ),
    "gates as a number": ({"kind": "gates", "gates": 7},),
    "a schema version in words": ({"kind": "opened", "schema_version": "two"},),
}
"""Lines of a chain that somebody without a key wrote again."""


@pytest.mark.parametrize("lines", MALFORMED.values(), ids=MALFORMED)
def test_journal_without_the_fields_of_a_report_does_not_hold(run: Run, lines: tuple[dict[str, object], ...]) -> None:
    whole = run.lines
    run.rewrite([*whole[:-1], *({**whole[3], **one} for one in lines), whole[-1]])
    assert run.bad(NOTHING)["report"].startswith(
        "it cannot be built from the journal: its lines do not have the fields"
    )


@pytest.mark.parametrize("lines", [({"kind": "gates", "gates": [{}]},), ({"kind": "manifest", "files": 7},)])
def test_journal_without_the_fields_of_a_statement_does_not_hold(
    run: Run, lines: tuple[dict[str, object], ...]
) -> None:
    """The report has no such field, or takes any value; files and statement fit each other."""
    whole = run.lines
    run.rewrite([*whole[:-1], *({**whole[3], **one} for one in lines), whole[-1]])
    (run.folder / "verification.json").write_text(report.to_json(report.build(list(read(run.journal)))))
    subjects = [{"name": name, "digest": {"sha256": digest}} for name, digest in digests(run.folder).items()]
    (run.folder / ENVELOPE_FILE).write_bytes(Signer(private_pem()).sign({"subject": subjects}))
    assert "of which the signed statement is made" in run.bad(NOTHING)["statement"]


@pytest.mark.parametrize("name", [JOURNAL_FILE, "verification.json", ENVELOPE_FILE, "summary.dsse.json"])
def test_a_pipe_in_place_of_a_file_is_not_read(run: Run, name: str) -> None:
    (run.folder / name).unlink()
    os.mkfifo(run.folder / name)
    assert run.bad(NOTHING)
    if name in (JOURNAL_FILE, "verification.json"):
        assert f"{name} is not a file that can be read" in run.bad(NOTHING).values()


def test_a_removed_envelope_is_found(run: Run) -> None:
    (run.folder / ENVELOPE_FILE).unlink()
    assert run.bad()["signature"] == f"{ENVELOPE_FILE} was removed: the audit store has it"
    assert run.bad(head_alone(run)) == {
        "signature": f"{ENVELOPE_FILE} is missing, and the journal gives no reason for that"
    }


def test_another_key_is_found(run: Run) -> None:
    forge(run, private_pem())
    assert list(run.bad(head_alone(run))) == ["signature", "summary"]
    assert run.bad()["signature"]


def test_the_envelope_of_another_run_is_found(run: Run) -> None:
    other = make_run(run.folder.parent, run.estate, "another")
    (run.folder / ENVELOPE_FILE).write_bytes((other.folder / ENVELOPE_FILE).read_bytes())
    found = run.bad(head_alone(run))
    assert found[JOURNAL_FILE] == found["verification.json"] == "was changed: it is not the signed content"


def test_statement_that_claims_more_than_the_journal_is_found(run: Run) -> None:
    claim = statement(list(read(run.journal)), digests(run.folder))
    claim["predicate"]["passedTests"].append("load")
    (run.folder / ENVELOPE_FILE).write_bytes(Signer(run.estate.pem).sign(claim))
    assert run.bad(head_alone(run)) == {"statement": "the signed statement does not follow from the journal"}


def test_every_changed_byte_of_the_envelope_is_found(run: Run) -> None:
    path = run.folder / ENVELOPE_FILE
    whole, known = path.read_bytes(), head_alone(run)
    places = random.Random(11)
    for at in places.sample(range(len(whole)), 300):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << places.randrange(8))]) + whole[at + 1 :])
        assert "signature" in run.bad(known), at


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b'{"payload": 1}', b"\xff", b"[" * 100_000])
def test_malformed_envelope_is_reported(run: Run, content: bytes) -> None:
    (run.folder / ENVELOPE_FILE).write_bytes(content)
    assert "was changed: it is not a DSSE envelope" in run.bad(head_alone(run))["signature"]


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b'{"subject": 1}', b'{"subject": [1]}', b"[" * 100_000, b'{"subject":' * 100_000]
)
def test_malformed_statement_is_reported(run: Run, payload: bytes) -> None:
    document = json.loads((run.folder / ENVELOPE_FILE).read_bytes())
    document["payload"] = base64.b64encode(payload).decode()
    (run.folder / ENVELOPE_FILE).write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")
    assert set(run.bad(head_alone(run))) == {"signature", "files"}


def test_unchecked_evidence_is_not_good(run: Run) -> None:
    def gone() -> object:
        raise NoKey("the key is gone")

    findings = examine(run.folder, JOURNAL_FILE, Anchors(unread=["the lease was not asked"]), gone)  # type: ignore[arg-type]  # `gone` never returns
    unchecked = {finding.what: finding.detail for finding in findings if finding.outcome is Outcome.UNCHECKED}
    gone_for = dict.fromkeys(("signature", "summary"), "the key is gone")
    assert unchecked == {"anchor": "the lease was not asked", **gone_for}


def forge(run: Run, pem: str) -> None:
    """Sign the folder with another key, as an attacker who can write the folder could."""
    if run.lines[2]["version"] == "6.6.6":
        report.write(run.folder, report.build(list(read(run.journal))))
    summary.sign(run.folder, list(read(run.journal)), Signer(pem))


# -- commands that write a journal alone -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["retire", "unlock"])
def test_journal_of_a_command_without_a_report_is_not_called_forged(tmp_path: Path, mode: str) -> None:
    run = journal_alone(tmp_path / "run", mode)
    assert run.bad(NOTHING) == {}
    assert run.unchecked(NOTHING).keys() == {"anchor", "report"}
    run.journal.write_bytes(run.journal.read_bytes().replace(b"20261129", b"20261128", 1))
    assert "chain" in run.bad(NOTHING)


def test_removed_report_of_a_deployment_is_missed_although_its_journal_says_unlock(run: Run) -> None:
    lines = run.lines
    lines[0]["mode"] = "unlock"
    run.rewrite(lines)
    (run.folder / report.REPORT_FILE).unlink()
    assert {"head", "copy"} <= run.bad().keys()


def journal_alone(folder: Path, mode: str) -> Run:
    """Return a folder with the journal of a command that writes no report."""
    journal = Journal(folder / JOURNAL_FILE, "tester", FakeClock())
    open_journal(journal, Opening(folder.name, "test", mode, "tester"), "20261129")
    journal.append("intent", step=mode, what="it")
    return Run(folder, Estate())
