"""A step of a YAML check that is sent as the second account: its own session, and refused if there is no such account."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from verification.contract.openapi import Contract
from verification.declarative.checks import DeclaredCheck, load
from verification.declarative.demands import clean_up, unknown_sessions
from verification.declarative.judge import Asker, CheckFailed
from verification.declarative.source import InvalidChecks
from verification.http.client import RecordingClient
from verification.journeys.model import Session
from verification.journeys.placeholders import Values

FILE = "suites/notes/notes.yaml"
CHECK = """
checks:
  - name: a note is private
    signed_in: true
    steps:
      - name: write
        request: {method: POST, path: /notes, json: {by: "${account.email}"}}
        expect: {status: 201}
        capture: {id: $.id}
      - {name: read, account: first, request: "GET /notes/${id}", expect: {status: 200}}
      - {name: read as another, account: second, request: "GET /notes/${id}", expect: {status: 404}}
"""


def loaded(tmp_path: Path, text: str = CHECK) -> DeclaredCheck:
    path = tmp_path / "notes.yaml"
    path.write_text(text)
    (check,) = load(path, FILE)
    return check


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(InvalidChecks) as caught:
        loaded(tmp_path, text)
    return str(caught.value)


def play(check: DeclaredCheck, private: bool) -> list[bytes]:
    """Play the check against a service whose notes are private, or not; return the bodies that it got."""
    bodies: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(request.content)
        first = request.headers["authorization"] == "ann"
        found = httpx.Response(200 if first or not private else 404)
        if request.method == "POST":
            found = httpx.Response(201 if first else 401, json={"id": 7})
        found.elapsed = timedelta(milliseconds=1)
        return found

    with httpx.Client(base_url="http://api.example", transport=httpx.MockTransport(answer)) as client:
        asker = Asker(client, session={"Authorization": "ann"}, second={"Authorization": "bob"})
        asker.play(check, check.cases[0], Values({"email": "ann@a.example", "password": "p"}, "run-1"))
    return bodies


def test_the_step_has_the_session_of_the_second_account(tmp_path: Path) -> None:
    """Placeholders keep the values of the first account."""
    check = loaded(tmp_path)
    assert check.needs_second
    assert json.loads(play(check, private=True)[0]) == {"by": "ann@a.example"}
    with pytest.raises(CheckFailed, match=r"step 'read as another': GET /notes/7: status 200, expected 404"):
        play(check, private=False)


def test_account_is_refused_without_a_session(tmp_path: Path) -> None:
    text = CHECK.replace("    signed_in: true\n", "").replace("${account.email}", "x")
    message = refusal(tmp_path, text)
    assert message.startswith(f"{FILE}:9:22: account chooses the user of a session in account of step 'read' of check")
    assert message.splitlines()[0].endswith("; write signed_in: true or as in the check")
    mistyped = refusal(tmp_path, CHECK.replace("second", "secnd"))
    assert "expected one of (first, second); did you mean 'second'?" in mistyped


def test_account_is_refused_if_all_accounts_have_the_same_session(tmp_path: Path) -> None:
    check = loaded(tmp_path)
    key = Session("machine", "api-key", password="${secret.KEY}")
    assert list(unknown_sessions([check], {"user": Session("user", "basic")})) == []
    (none,) = unknown_sessions([check], {"user": Session("user", "none")})
    assert none == f"{FILE}:3: check 'a note is private' has signed_in, but suites/service.yaml describes no session"
    (found,) = unknown_sessions([check], {"machine": key})
    assert found.startswith(
        f"{FILE}:3: check 'a note is private' has a step with account: second, but session 'machine'"
    )


NOTES = Contract(
    {
        "openapi": "3.1.0",
        "info": {"title": "notes", "version": "1"},
        "paths": {
            "/notes": {"post": {"responses": {"201": {"description": "made"}}}},
            "/notes/{id}": {"delete": {"responses": {"204": {"description": "gone"}}}},
        },
    }
)


LOST = "lost"
"""The id of an entry whose DELETE is not answered."""


def cleaned(headers: dict[str, str], made: object, session: dict[str, str], second: dict[str, str]) -> list[str]:
    """Send a POST with these headers; return the credentials and the path of each DELETE that its clean-up sends."""
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE":
            seen.append(f"{request.headers.get('authorization')} {request.headers.get('cookie')} {request.url.path}")
            if made == LOST:
                raise httpx.ReadError("the connection was closed")
            return httpx.Response(204)
        return httpx.Response(201, json={"id": made})

    transport = httpx.MockTransport(answer)
    with RecordingClient(None, True, base_url="http://api.example", transport=transport) as client:
        client.cookies.set("sid", "of-ann")
        response = client.post("/notes", headers=headers)
        clean_up(client, NOTES, response, session, second)
    return seen


@pytest.mark.parametrize("made", [7, "7"])
@pytest.mark.parametrize(("sent", "deleted"), [("ann", "ann sid=of-ann"), ("bob", "bob None")])
def test_the_account_that_created_an_entry_deletes_it(made: object, sent: str, deleted: str) -> None:
    """An id can be a number; the second account does not get the cookies of the first."""
    session, second = {"Authorization": "ann"}, {"Authorization": "bob"}
    (found,) = cleaned({"Authorization": sent}, made, session, second)
    assert found == f"{deleted} /notes/7"


def test_the_clean_up_sends_the_credentials_of_the_request_itself() -> None:
    """They are in the check's headers, without any session."""
    assert cleaned({"Authorization": "key"}, "7", {}, {}) == ["key sid=of-ann /notes/7"]


def test_a_clean_up_without_an_answer_fails_nothing() -> None:
    """The check has its result already."""
    assert cleaned({"Authorization": "ann"}, LOST, {"Authorization": "ann"}, {}) == ["ann sid=of-ann /notes/lost"]


@pytest.mark.parametrize("made", [True, None, {"a": 1}])
def test_an_answer_without_an_id_has_nothing_to_delete(made: object) -> None:
    assert cleaned({"Authorization": "ann"}, made, {"Authorization": "ann"}, {}) == []
