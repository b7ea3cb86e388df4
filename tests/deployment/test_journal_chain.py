"""The journal: each line is on the disk before ``append`` returns, and every change of the file is found."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import pytest

from deployment.errors import JournalBroken, JournalUnwritable
from deployment.evidence.data import details
from deployment.evidence.data.details import Details
from deployment.evidence.journal import FIRST, Journal, line_hash, read
from tests.deployment.fakes import FakeClock
from verification.redaction.redactor import Redactor


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal(tmp_path / "folder" / "audit.jsonl", "actor", FakeClock())
    journal.append("opened", host="a", number=1.50)
    journal.append("phase", before="PENDING", after="LEASED", text="Köln")
    journal.append("closed", reason=None)
    return journal


def test_each_line_carries_the_hash_of_the_one_before(journal: Journal) -> None:
    records = journal.records()
    assert [record.seq for record in records] == [1, 2, 3]
    assert [record.prev for record in records] == [FIRST, records[0].hash, records[1].hash]
    assert journal.head == records[-1].hash
    assert records[1].data == {"before": "PENDING", "after": "LEASED", "text": "Köln"}


def test_line_is_synced_before_append_returns(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    fsync = os.fsync

    def spy(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_size)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    journal.append("later")
    assert synced == [journal.path.stat().st_size]


@pytest.mark.parametrize(
    "torn", ["{", '{"seq": 4, "time": "x"}', "\udcff".encode("utf-8", "surrogateescape").decode("latin-1")]
)
def test_torn_last_line_is_dropped_and_written_over(journal: Journal, torn: str) -> None:
    with journal.path.open("a") as file:
        file.write(torn)
    assert len(journal.records()) == 3
    again = Journal(journal.path, "actor", FakeClock())
    assert again.append("later").seq == 4
    assert [record.kind for record in read(journal.path)] == ["opened", "phase", "closed", "later"]


def test_any_changed_byte_is_found(journal: Journal) -> None:
    content = journal.path.read_bytes()
    for place in range(len(content) - 1):  # the last newline is left out: without it the last line counts as torn
        blank = {0x20, 0x09, 0x0D, 0x0A} if content[place] in b" \n" else set()
        for other in {content[place] ^ 1, *blank} - {content[place]}:
            changed = content[:place] + bytes([other]) + content[place + 1 :]
            journal.path.write_bytes(changed)
            with pytest.raises(JournalBroken):
                list(read(journal.path))


def test_any_removed_byte_is_found(journal: Journal) -> None:
    content = journal.path.read_bytes()
    for place in range(len(content) - 1):
        journal.path.write_bytes(content[:place] + content[place + 1 :])
        with pytest.raises(JournalBroken):
            list(read(journal.path))


def test_reordered_removed_or_repeated_lines_are_found(journal: Journal) -> None:
    lines = journal.path.read_bytes().splitlines(keepends=True)
    for number, order in enumerate(itertools.permutations(lines)):
        journal.path.write_bytes(b"".join(order))
        if number:
            with pytest.raises(JournalBroken):
                list(read(journal.path))
    for removed in range(2):
        journal.path.write_bytes(b"".join(line for i, line in enumerate(lines) if i != removed))
        with pytest.raises(JournalBroken):
            list(read(journal.path))
    journal.path.write_bytes(b"".join([*lines, lines[-1]]))
    with pytest.raises(JournalBroken):
        list(read(journal.path))


def test_chain_continues_after_reopening(journal: Journal) -> None:
    head = journal.head
    again = Journal(journal.path, "another", FakeClock())
    record = again.append("recovering")
    assert (record.seq, record.prev, record.actor) == (4, head, "another")
    assert len(again.records()) == 4


def test_failed_write_leaves_no_partial_line(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:9]))

    def full(descriptor: int) -> None:
        raise OSError(28, f"No space left on device {descriptor}")

    monkeypatch.setattr(os, "fsync", full)
    before = journal.path.read_bytes()
    journal.append("late")
    assert journal.path.read_bytes() == before
    with pytest.raises(JournalUnwritable, match="No space"):
        journal.require_written()
    monkeypatch.undo()
    assert journal.append("later").seq == 5
    assert [record.kind for record in read(journal.path)] == ["opened", "phase", "closed", "late", "later", "gap"]


def test_secrets_are_cleaned_before_they_are_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", "actor", FakeClock(), lambda text: text.replace("hunter2", "***"))
    record = journal.append("logs", lines=["password=hunter2"], nested={"deep": ["hunter2"]})
    assert record.data == {"lines": ["password=***"], "nested": {"deep": ["***"]}}
    assert b"hunter2" not in journal.path.read_bytes()


@pytest.mark.parametrize(
    "text", ["-----BEGIN PRIVATE KEY-----\ncanary", "password='canary", 'say "X-Auth-Token: canary"']
)
def test_a_line_with_a_secret_without_its_end_is_written(tmp_path: Path, text: str) -> None:
    journal = Journal(tmp_path / "audit.jsonl", "actor", FakeClock(), Redactor(()).clean)
    journal.append("failed", reason=text, after=["a text", 1], answer={"text": text, "token": "canary"})
    (record,) = read(journal.path)
    assert "canary" not in str(record.data)
    assert record.data["after"] == ["a text", 1]
    assert "[redacted]" in record.data["reason"]


@pytest.mark.parametrize("text", ["-----BEGIN PRIVATE KEY-----\ncanary", "password='canary"])
def test_a_detail_with_a_secret_without_its_end_is_not_lost(tmp_path: Path, text: str) -> None:
    Details(tmp_path / "details.jsonl", Redactor(()).clean).add("check", message=text, gate="auth")
    (line,) = details.read(tmp_path / "details.jsonl")
    assert line["gate"] == "auth"
    assert "canary" not in str(line)


MALFORMED = {
    "nested too deep": "[" * 3_000_000,
    "an object nested too deep": '{"a":' * 500_000,
    "not UTF-8": b"\xff\xfe[".decode("latin-1"),
    "a number with too many digits": '{"seq": ' + "1" * 5_000 + "}",
    "a list": "[]",
    "nothing": "",
}
"""Lines that no version of the journal has written."""


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED)
def test_no_line_of_a_file_ends_its_reader_with_another_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(content.encode("latin-1") + b"\n")
    with pytest.raises(JournalBroken, match=":1 is not a journal line"):
        list(read(path))


@pytest.mark.parametrize("field", [{"kind": []}, {"kind": None}, {"seq": True}, {"time": 7}, {"actor": {}}])
def test_own_fields_of_a_line_have_their_types(journal: Journal, field: dict[str, object]) -> None:
    """The line's hash is valid: somebody who has no key wrote the whole chain again."""
    line = {"seq": 1, "time": "t", "actor": "a", "kind": "opened", "prev": FIRST, **field}
    journal.path.write_text(json.dumps({**line, "hash": line_hash(line)}) + "\n")
    with pytest.raises(JournalBroken, match=":1 is not a journal line"):
        list(read(journal.path))


def test_a_pipe_in_place_of_a_journal_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "audit.jsonl")
    with pytest.raises(JournalBroken, match="is not a file"):
        list(read(tmp_path / "audit.jsonl"))
