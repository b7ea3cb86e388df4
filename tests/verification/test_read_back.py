"""Data that journeys wrote to the new colour after the switch, read again on the old colour after a rollback."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from infrastructure.journey_data import HttpJourneyData, readable_part
from tests.verification.notes_server import USER, Notes, described
from tests.verification.test_prober_other_service import wait_until
from verification.journeys import ledger
from verification.journeys.accounts import SmokeUser
from verification.journeys.model import Service

ANN = SmokeUser(**USER)


@pytest.fixture
def old() -> Iterator[Notes]:
    """The old colour; what the new one stored, it has as well, unless a test takes it away."""
    running = Notes()
    yield running
    running.stop()


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return described(tmp_path)


def data(old: Notes, service: Service) -> HttpJourneyData:
    return HttpJourneyData("test", old.url, (ANN,), service, timeout_s=5)


def outcomes(found: object) -> dict[tuple[str, str], str]:
    assert isinstance(found, list)
    return {(one.journey, one.operation): one.outcome for one in found}


READS = {("write a note", "GET /notes/${id}"), ("keep a file", "GET /files/${marker}.txt")}
"""The requests that read what a step before them wrote; `correct a note` reads nothing."""


def written_by(notes: Notes) -> None:
    """Wait until every reading request of the journeys was answered."""
    wait_until(lambda: {"GET /notes/{}", "GET /files/{}"} <= set(notes.seen))


def test_all_is_readable_and_removed_in_the_end(notes: Notes, old: Notes, service: Service, tmp_path: Path) -> None:
    old.stored = notes.stored  # one database
    book = tmp_path / "journeys.jsonl"
    ledger.create(book, "test", old.url)
    written = data(old, service).write(notes.url, book)
    written_by(notes)
    found = written.read_back()
    assert outcomes(found) == dict.fromkeys(READS, "readable")
    assert {one.problem for one in found} == {None}
    assert len(ledger.read(book).open) == 2, "a run that is killed now is cleaned up by `recover`"
    assert "POST /notes" not in old.seen
    written.remove()
    assert notes.stored == {}
    assert ledger.read(book).open == ()


def test_data_that_the_old_colour_lacks_is_not_readable(notes: Notes, old: Notes, service: Service) -> None:
    """The new colour writes where the old one does not look, and a value of the answer is in no text."""
    written = data(old, service).write(notes.url, None)
    written_by(notes)
    found = written.read_back()
    assert outcomes(found) == dict.fromkeys(READS, "not_readable")
    assert {str(one) for one in found} == {
        "NOT readable after the rollback: write a note, GET /notes/${id}: status 404, expected 200",
        "NOT readable after the rollback: keep a file, GET /files/${marker}.txt: status 404, expected 200",
    }
    written.remove()


def test_changed_data_is_not_readable(notes: Notes, old: Notes, service: Service) -> None:
    written = data(old, service).write(notes.url, None)
    written_by(notes)
    wait_until(lambda: len(notes.stored) == 2)
    old.stored = {
        key: value if key.startswith("/files") else {**value, "text": ""} for key, value in notes.stored.items()
    }
    assert [one.problem for one in written.read_back() if not one.readable] == ["$.text is not as expected"]
    written.remove()


def test_new_colour_that_cannot_write(notes: Notes, old: Notes, service: Service) -> None:
    """The old colour is not to blame: nothing was written."""
    notes.fail["POST /notes"] = 100
    notes.fail["PUT /files/{}"] = 100
    written = data(old, service).write(notes.url, None)
    wait_until(lambda: "PUT /files/{}" in notes.seen)
    found = written.read_back()
    assert outcomes(found) == dict.fromkeys(READS, "not_written")
    assert {one.problem for one in found} == {
        "POST /notes: status 500, expected 201",
        "PUT /files/${marker}.txt: status 500, expected 201",
    }
    written.remove()


def test_old_colour_without_an_answer(notes: Notes, service: Service) -> None:
    gone = replace_url(service)
    written = gone.write(notes.url, None)
    written_by(notes)
    assert {one.problem for one in written.read_back()} == {"no answer"}
    written.remove()  # it raises nothing, and the data stays for `recover`


def replace_url(service: Service) -> HttpJourneyData:
    return HttpJourneyData("test", "http://127.0.0.1:9", (ANN,), service, timeout_s=1)


def test_only_live_journeys_are_read_again(notes: Notes, old: Notes, service: Service) -> None:
    private = replace(service, journeys=tuple(replace(one, live=False) for one in service.journeys))
    written = data(old, private).write(notes.url, None)
    assert list(written.read_back()) == []
    written.remove()
    assert not {"POST /notes", "PUT /files/{}"} & set(notes.seen)


@pytest.mark.parametrize(
    ("methods", "end", "reads"),
    [
        ("POST GET GET", 3, 2),
        ("GET POST GET DELETE", 3, 1),  # not the step that deletes: then nothing would be left to read
        ("POST GET PUT GET DELETE GET", 4, 1),
        ("POST PUT GET", 3, 1),
        ("GET GET", None, 0),
        ("GET POST", None, 0),
    ],
)
def test_part_of_a_journey_that_is_played(service: Service, methods: str, end: int | None, reads: int) -> None:
    step = service.journeys[1].steps[0]
    steps = tuple(replace(step, request=replace(step.request, method=method)) for method in methods.split())
    part = readable_part(replace(service.journeys[1], steps=steps))
    assert (None, 0) if part is None else (part[0], len(part[1])) == (end, reads)
    assert (part is None) == (end is None)
