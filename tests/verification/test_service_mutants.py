"""Mutants of valid descriptions: each is refused, fails on a recorded answer, or asks and rejects what the original does.

A mutant has one letter changed, one key moved, or one value of another type. Some words stay as they are, because no file and
no answer can show that they are mistyped: ``private`` of another step, ``live`` and ``weight`` of another journey are what a
person may mean; a private field without a contract, variables of the embedded service, the anchor of a regular expression.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qsl

import pytest

from plugins.described.auth import first_protected
from tests.verification.mutating import MUTATIONS, hunt, wrong_values
from verification.declarative.service import InvalidService, load_service
from verification.declarative.source import InvalidChecks
from verification.journeys.expectations import NotCaptured, version_of
from verification.journeys.leftovers import swept
from verification.journeys.model import Journey, Service, Session, Step
from verification.journeys.placeholders import UnknownPlaceholder, Values
from verification.journeys.player import Play, Prepared, judge, prepare
from verification.journeys.sessions import Credentials, NotSignedIn, credentials, sign_in_request, without_request
from verification.journeys.tokens import forge, header_of

USERS = ({"email": "ann@a.example", "password": "a-password"}, {"email": "bob@a.example", "password": "b-password"})
TOKENS = {"ann@a.example": forge({"sub": "ann"}, "key"), "bob@a.example": forge({"sub": "bob"}, "key")}
KEY = "an-api-key-of-the-shop"
VARIABLES = {"SHOP_KEY": KEY}
KEPT = ("private", "live", "weight", "LEVEL", "info", "private_fields", "surname", "^")
SHOP = """
service: shop
repository: shop/api
health:
  request: GET /up
  expect: {status: 200, body: {state: ok}, headers: {X-Kind: {matches: ^shop}}}
  version: {header: X-Version}
dependencies:
  database: {request: GET /up/database, expect: {status: 200, body: {ok: true}}}
  redis: none
sessions:
  buyer:
    kind: bearer
    sign_in:
      request: {method: POST, path: /tokens, json: {user: "${account.email}", password: "${account.password}"}}
      expect: {status: 201}
      token: $.token.value
      expires_in: $.token.seconds
    sign_out: {request: DELETE /tokens, expect: {status: 204}}
    token: {format: jwt, algorithm: HS256}
journeys:
  look around:
    weight: 2
    steps:
      - {name: look, request: GET /goods, expect: {status: 200, json: {"$.goods[*].price": {greater: 0}}}}
  order:
    as: buyer
    live: true
    steps:
      - name: order
        request: {method: POST, path: /orders, form: {tag: "${marker}"}}
        expect: {status: 201}
        capture: {id: $.id, place: header Location}
      - {name: read, request: "GET /orders/${id}", expect: {status: 200, body: {id: "${id}"}}, private: true}
      - {name: read its place, request: "GET ${place}", expect: {status: 200, body: {tag: "${marker}"}}}
      - {name: find, request: {method: GET, path: /orders, query: {limit: 9}}, expect: {status: 200, body: {orders: {contains: {id: "${id}"}}}}}
    undo:
      - {name: cancel, request: "DELETE /orders/${id}", expect: {status: 204}}
      - {name: gone, request: "GET /orders/${id}", expect: {status: 404}}
    sweep:
      request: GET /orders?limit=9
      items: $.orders
      where: {tag: "${marker}"}
      capture: {id: $.id}
stores:
  database: {find: "SELECT 1 WHERE id = %s", rows: "SELECT count(*) WHERE email = ANY(%s)"}
private_fields: [surname]
environment: {LEVEL: info}
"""
KEYS = """
service: shop
health: {request: GET /up, expect: {status: 200, body: {state: ok}}, version: $.version}
dependencies: none
sessions:
  machine: {kind: api-key, header: X-Key, key: "${secret.SHOP_KEY}"}
journeys:
  look at the orders:
    as: machine
    steps:
      - {name: list, request: GET /orders, expect: {status: 200, body: {orders: {type: array}, more: {absent: true}}}}
"""
ORIGINALS = [SHOP, KEYS]
ORDER = {"id": "o-1", "tag": "marker"}


@dataclass(frozen=True)
class Answer:
    """An answer; header names are in lower case."""

    status: int
    body: bytes = b""
    known: dict[str, str] = field(default_factory=dict)

    @property
    def headers(self) -> Answer:
        return self

    def get(self, name: str, default: None = None, /) -> str | None:
        return self.known.get(name.lower(), default)


@dataclass
class Shop:
    """The service, which answers as recorded; ``wrong`` replaces the answer to one request."""

    wrong: tuple[str, Answer] | None = None
    cancelled: bool = False

    def ask(self, prepared: Prepared) -> Answer:
        name, answer = self._answer(prepared)
        return self.wrong[1] if self.wrong is not None and self.wrong[0] == name else answer

    def _answer(self, prepared: Prepared) -> tuple[str, Answer]:
        headers = {name.lower(): value for name, value in prepared.headers.items()}
        kind = headers.get("content-type", "")
        sent: Any = prepared.body or b""
        sent = json.loads(sent) if kind == "application/json" else dict(parse_qsl(sent.decode()))
        name = f"{prepared.method} {prepared.path}"
        who = next((user for user, token in TOKENS.items() if headers.get("authorization") == f"Bearer {token}"), None)
        if headers.get("x-key") == KEY:
            who = USERS[0]["email"]
        if name == "POST /tokens":
            user = next((one for one in USERS if sent == {"user": one["email"], "password": one["password"]}), None)
            return name, recorded(name, user["email"]) if user else Answer(401)
        if name not in OPEN and who is None:
            return name, Answer(401)
        if "/orders/" in name and (who != USERS[0]["email"] or self.cancelled):
            return f"{name} again", Answer(404)
        if name == "POST /orders" and sent != {"tag": "marker"}:
            return name, Answer(400)
        self.cancelled = self.cancelled or name == "DELETE /orders/o-1"
        return name, recorded(name, str(who))


OPEN: dict[str, Any] = {
    "GET /up": {"state": "ok", "version": "1.2.3"},
    "GET /up/database": {"ok": True},
    "GET /goods": {"goods": [{"price": 3}, {"price": 4}]},
}
CLOSED: dict[str, Any] = {
    "POST /orders": {"id": "o-1"},
    "GET /orders/o-1": ORDER,
    "GET /orders?limit=9": {"orders": [{"id": "o-0", "tag": "other"}, ORDER]},
    "GET /orders": {"orders": [ORDER]},
    "DELETE /orders/o-1": None,
    "DELETE /tokens": None,
}
HEADERS = {
    "GET /up": {"x-version": "1.2.3", "x-kind": "shop 1"},
    "POST /orders": {"location": "http://a.example/orders/o-1"},
}


def recorded(name: str, user: str) -> Answer:
    if name == "POST /tokens":
        return answer(201, {"token": {"value": TOKENS[user], "seconds": 60}})
    found = {**OPEN, **CLOSED}
    if name not in found:
        return Answer(404)
    status = 204 if name.startswith("DELETE") else 201 if name.startswith("POST") else 200
    return answer(status, found[name], HEADERS.get(name, {}))


def answer(status: int, body: Any, headers: dict[str, str] | None = None) -> Answer:
    return Answer(status, b"" if body is None else json.dumps(body).encode(), headers or {})


def wrong_answers(asked: Iterator[str]) -> Iterator[tuple[str, Answer]]:
    """Yield answers with one thing wrong, each to one of these requests."""
    for name in asked:
        good = recorded(name, USERS[0]["email"]) if not name.endswith(" again") else Answer(404)
        yield from ((name, replace(good, status=status)) for status in (200, 201, 404, 500) if status != good.status)
        yield from ((name, replace(good, known={**good.known, header: "x"})) for header in good.known)
        yield from ((name, replace(good, known={})) for _ in [1] if good.known)
        if good.body:
            for body in wrong_values(json.loads(good.body)):
                yield name, replace(good, body=json.dumps(body).encode())


class Refused(Exception):
    """The description does not fit the answers."""


@dataclass
class Run:
    """Asks the service everything that the gates ask it by this description. Raises Refused."""

    service: Service
    shop: Shop

    def __call__(self) -> None:
        health = self.service.health
        found = self._asked(health.step, {}, None)
        if health.version is not None and version_of(health, found) != "1.2.3":
            raise Refused("version")
        for step in self.service.dependencies.values():
            if step is not None:
                self._asked(step, {}, None)
        for session in self.service.sessions.values():
            self._session(session)
        for journey in self.service.journeys:
            self._journey(journey)

    def _values(self, number: int | None) -> Values:
        return Values(None if number is None else USERS[number], "marker")

    def _asked(self, step: Step, headers: Any, number: int | None) -> Answer:
        prepared = prepare(step, self._values(number), headers)
        found = self.shop.ask(prepared)
        if judge(prepared, found) is not None:
            raise Refused(step.name)
        return found

    def _opened(self, session: Session, number: int = 0) -> Credentials:
        values = self._values(number)
        request = sign_in_request(session, values)
        if request is None:
            return without_request(session, values)
        return credentials(session, request, self.shop.ask(request))

    def _session(self, session: Session) -> None:
        if session.kind == "none":
            return
        opened = self._opened(session)
        if session.expires_in is not None and opened.lasts_s == float("inf"):
            raise Refused("expires_in")
        if session.token_format == "jwt" and first_protected(self.service, session) is not None:
            try:
                signed = header_of(opened.token or "").get("alg")
            except ValueError:
                raise Refused("token") from None
            if session.algorithm not in (None, signed):
                raise Refused("algorithm")
        if session.sign_out is not None:
            self._asked(session.sign_out, opened.headers, 0)

    def _journey(self, journey: Journey) -> None:
        self.shop.cancelled = False
        session = self.service.sessions.get(journey.session or "")
        headers, others = (
            ({}, {}) if session is None else (self._opened(session).headers, self._opened(session, 1).headers)
        )
        play = Play(journey, self._values(None if session is None else 0))
        failed = None
        while (step := play.next()) is not None:
            if play.asked == len(journey.steps) and not play.failed:
                self._sweep(journey, play, headers)
            prepared = play.prepare(headers)
            if step.private and self.shop.ask(prepare(step, play.values, others)).status not in (403, 404, 410):
                raise Refused("private")
            failed = play.learn(prepared, self.shop.ask(prepared)) or failed
        if failed is not None:
            raise Refused(failed)

    def _sweep(self, journey: Journey, play: Play, headers: Any) -> None:
        """Do as the gate endpoints does, which warns."""
        if journey.sweep is None or not play.left_something:
            return
        found = swept(journey.sweep, play.values, self.shop.ask(prepare(journey.sweep.step, play.values, headers)))
        if not any(one.items() <= play.values.captured.items() for one in found):
            raise Refused("sweep")


def passes(service: Service, wrong: tuple[str, Answer] | None = None) -> bool:
    try:
        Run(service, Shop(wrong))()
    except (Refused, NotSignedIn, NotCaptured, UnknownPlaceholder):
        return False
    return True


def read(folder: Path, text: str) -> Service:
    path = folder / "service.yaml"
    path.write_text(text, encoding="utf-8")
    return load_service(path, "suites/service.yaml")


@cache
def original(number: int) -> Service:
    with TemporaryDirectory() as folder:
        return read(Path(folder), ORIGINALS[number])


@cache
def rejected(number: int) -> list[tuple[str, Answer]]:
    """Return the wrong answers that the original rejects."""
    names = ["POST /tokens", *OPEN, *CLOSED, "GET /orders/o-1 again"]
    return [one for one in wrong_answers(iter(names)) if not passes(original(number), one)]


def demands(service: Service) -> set[Any]:
    """Return what the description makes the framework do beside its requests."""
    journeys: dict[str, Callable[[Journey], bool]] = {
        "live": lambda one: one.live,
        "in the load": lambda one: one.weight > 0,
        "sweep": lambda one: one.sweep is not None,
        "undo": lambda one: bool(one.undo),
        "private": lambda one: any(step.private for step in one.steps),
        "signed in": lambda one: service.needs_account(one),
    }
    found: set[Any] = {(what, sum(map(holds, service.journeys))) for what, holds in journeys.items()}
    found |= {("private field", name) for name in service.private_fields}
    found |= {("store", name, key) for name, keys in service.stores.items() for key in keys}
    found |= {("dependency", name) for name, step in service.dependencies.items() if step is not None}
    for one in service.sessions.values():
        found |= {(one.kind, one.token_format, one.algorithm, one.sign_out is not None, one.expires_in is not None)}
    return found | {("version", service.health.version is not None)}


def assert_harmless(folder: Path, mutant: str, number: int) -> None:
    try:
        service = read(folder, mutant)
    except (InvalidService, InvalidChecks):
        return
    if not passes(service):
        return
    lost = demands(original(number)) - demands(service)
    assert not lost, f"does no more {lost}:\n{mutant}"
    for wrong in rejected(number):
        assert not passes(service, wrong), f"accepts {wrong} now:\n{mutant}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.mark.parametrize("number", range(len(ORIGINALS)))
def test_the_originals_pass_and_reject_wrong_answers(folder: Path, number: int) -> None:
    assert passes(read(folder, ORIGINALS[number]))
    assert len(rejected(number)) > 20


@pytest.mark.parametrize("how", MUTATIONS)
@pytest.mark.parametrize("most", [30, pytest.param(1000, marks=pytest.mark.soak)])
def test_no_mutant_is_weaker(folder: Path, how: str, most: int) -> None:
    def check(mutant: str, number: int) -> None:
        assert_harmless(folder, mutant, number)

    hunt(check, MUTATIONS[how], ORIGINALS, KEPT, most)
