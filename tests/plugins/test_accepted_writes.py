"""A release that accepts a request without credentials keeps no data of it: the check removes it, or the run's ledger has it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from plugins.described.auth import closed_without_credentials, private_to_its_user
from plugins.described.colours import refuses_through_the_front_door
from plugins.described.fixtures import Player
from plugins.fixtures import Session as Deployment
from verification.contract.openapi import ContractViolation
from verification.journeys import ledger
from verification.journeys.accounts import SmokeUser
from verification.journeys.ledger import Ledger, OpenPlay
from verification.journeys.model import Expectation, Health, Journey, Request, Service, Session, Step, Sweep
from verification.journeys.placeholders import Values
from verification.journeys.sessions import Credentials, account_of

USERS = (SmokeUser("ann@smoke.example", "a-password"), SmokeUser("bob@smoke.example", "b-password"))
WRITE = Step(
    "write",
    "POST /notes",
    Request("POST", "/notes", body_kind="json", body={"text": "${marker}"}),
    Expectation((201,)),
    {"id": "$.id"},
)
COMMENT = Step(
    "comment",
    "POST /notes/${id}/comments",
    Request("POST", "/notes/${id}/comments"),
    Expectation((201,)),
    {"c": "$.id"},
)
PUT = Step("put", "PUT /files/${uuid}", Request("PUT", "/files/${uuid}"), Expectation((201,)), private=True)
DELETE = Step("delete", "DELETE /notes/${id}", Request("DELETE", "/notes/${id}"), Expectation((204,)))
DELETE_COMMENT = Step("uncomment", "DELETE /comments/${c}", Request("DELETE", "/comments/${c}"), Expectation((204,)))
DELETE_FILE = Step("remove", "DELETE /files/${uuid}", Request("DELETE", "/files/${uuid}"), Expectation((204,)))
LIST = Step("list", "GET /notes", Request("GET", "/notes"), Expectation((200,)))
NOTE = Journey("note", (WRITE,), undo=(DELETE,), session="user")
COMMENTED = Journey("comment", (WRITE, COMMENT), undo=(DELETE_COMMENT, DELETE), session="user")
FILE = Journey("file", (PUT,), undo=(DELETE_FILE,), session="user")


@dataclass
class Release:
    """A service that writes for anybody unless ``closed``; ``removes`` says whose DELETE it accepts, and ``gives_id`` if a POST tells the id."""

    closed: bool = False
    removes: str = "everybody"
    gives_id: bool = True
    stored: dict[str, str] = field(default_factory=dict)  # path: owner

    def __call__(self, request: httpx.Request) -> httpx.Response:
        who = request.headers.get("Authorization", "nobody")
        path = request.url.path
        if request.method in ("POST", "PUT"):
            if self.closed and not who.endswith("smoke.example"):
                return httpx.Response(401)
            number = str(len(self.stored) + 1)
            self.stored[path if request.method == "PUT" else f"/{path.rpartition('/')[2]}/{number}"] = who
            return httpx.Response(201, json={"id": number} if self.gives_id else {})
        if request.method == "GET":
            return httpx.Response(200, json=[])
        if self.stored.get(path) is None or (self.removes == "owner" and who != self.stored[path]):
            return httpx.Response(404)
        if self.removes == "nobody":
            return httpx.Response(500)
        if not who.endswith("smoke.example") and self.removes != "owner":
            return httpx.Response(401)
        del self.stored[path]
        return httpx.Response(204)


@dataclass
class Run:
    """A run's ledger, its warnings, and a player of a journey at a release."""

    book: Path
    release: Release
    journey: Journey
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        ledger.create(self.book, "test", "http://notes.example")

    @property
    def client(self) -> httpx.Client:
        return httpx.Client(base_url="http://notes.example", transport=httpx.MockTransport(self.release))

    @property
    def player(self) -> Player:
        service = Service(
            "notes",
            "notes",
            None,
            Health(LIST, None),
            sessions={"user": Session("user", "basic")},
            journeys=(self.journey,),
        )
        deployment = SimpleNamespace(
            service=service,
            ledger=Ledger(self.book),
            recorder=SimpleNamespace(warned=self.warnings.append),
            smoke_user=lambda number: USERS[number],
            values=lambda user: Values(None if user is None else account_of(user), "a-marker"),
            credentials=lambda _c, _s, user: Credentials({"Authorization": f"user {user.email}"}),
        )
        return Player(cast("Deployment", deployment))

    @property
    def open(self) -> tuple[OpenPlay, ...]:
        return ledger.read(self.book).open

    def ask(self, check: Any, step: Step) -> None:
        check(self.player, self.client, self.journey, step)


CHECKS = pytest.mark.parametrize("check", [closed_without_credentials, refuses_through_the_front_door])
STEPS = pytest.mark.parametrize(("journey", "step"), [(NOTE, WRITE), (COMMENTED, COMMENT), (FILE, PUT)])


@CHECKS
@STEPS
def test_a_release_that_refuses_leaves_nothing(check: Any, journey: Journey, step: Step, tmp_path: Path) -> None:
    run = Run(tmp_path / "journeys.jsonl", Release(closed=True), journey)
    run.ask(check, step)
    assert (run.release.stored, run.open, run.warnings) == ({}, (), [])


@CHECKS
@STEPS
@pytest.mark.parametrize("removes", ["everybody", "owner"])
def test_accepted_data_is_removed(check: Any, journey: Journey, step: Step, removes: str, tmp_path: Path) -> None:
    """As the user, or as the request that wrote it: the data may belong to nobody, so that the user gets 404."""
    run = Run(tmp_path / "journeys.jsonl", Release(removes=removes), journey)
    with pytest.raises(ContractViolation, match=f"{step.request.method} /.*201"):
        run.ask(check, step)
    assert (run.release.stored, run.open, run.warnings) == ({}, (), [])


@CHECKS
@pytest.mark.parametrize(
    ("journey", "step", "known"), [(NOTE, WRITE, {"id": "1"}), (FILE, PUT, {})], ids=["an id", "a name of its own"]
)
def test_accepted_data_that_stays_is_in_the_ledger(
    check: Any, journey: Journey, step: Step, known: dict[str, str], tmp_path: Path
) -> None:
    run = Run(tmp_path / "journeys.jsonl", Release(removes="nobody"), journey)
    with pytest.raises(ContractViolation):
        run.ask(check, step)
    assert len(run.release.stored) == 1
    (left,) = [one for one in run.open if known.items() <= one.values.items()]
    assert left.journey == journey.name
    if not known:
        assert f"/files/{left.values['uuid']}" in run.release.stored
    assert [step.operation in text for text in run.warnings] == [True]


@CHECKS
@pytest.mark.parametrize("swept", [True, False])
def test_accepted_data_without_an_id(check: Any, swept: bool, tmp_path: Path) -> None:
    """Only a sweep can find it; without one the warning is all."""
    sweep = Sweep(LIST, "$", {"text": "${marker}"}, {"id": "$.id"}) if swept else None
    journey = Journey("note", (WRITE,), undo=(DELETE,), session="user", sweep=sweep)
    run = Run(tmp_path / "journeys.jsonl", Release(gives_id=False), journey)
    with pytest.raises(ContractViolation):
        run.ask(check, WRITE)
    assert [one.values["marker"] for one in run.open] == (["a-marker"] if swept else [])
    assert len(run.warnings) == 1


@pytest.mark.parametrize("check", [closed_without_credentials, refuses_through_the_front_door])
def test_a_lost_answer_stays_in_the_ledger(check: Any, tmp_path: Path) -> None:
    class Lost(Release):
        def __call__(self, request: httpx.Request) -> httpx.Response:
            raise httpx.ReadError("", request=request)

    run = Run(tmp_path / "journeys.jsonl", Lost(), NOTE)
    with pytest.raises(httpx.ReadError):
        run.ask(check, WRITE)
    assert [one.journey for one in run.open] == ["note"]


def test_data_of_another_user(tmp_path: Path) -> None:
    """A private step that writes is sent as the second user; a release that accepts that keeps no second file."""
    run = Run(tmp_path / "journeys.jsonl", Release(), FILE)
    with pytest.raises(ContractViolation, match="as another user"):
        run.ask(private_to_its_user, PUT)
    assert (run.release.stored, run.open) == ({}, ())
    assert "password" not in json.dumps(run.book.read_text(encoding="utf-8"))
