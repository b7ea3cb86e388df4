"""Mutants of valid files of checks: each is refused, fails on a recorded answer, or rejects what the original rejects.

A mutant has one letter changed, one key moved within its check, or one value of another type. Expectations that something is
absent are not among the originals: no recorded answer can show that such a name is mistyped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from verification.contract.openapi import Contract
from verification.declarative.checks import DeclaredCheck, load
from verification.declarative.judge import Asker, CheckFailed
from verification.declarative.source import InvalidChecks
from verification.http.pool import Turn
from verification.journeys.placeholders import Values

DOCUMENT = Path(__file__).resolve().parents[2] / "suites" / "contract" / "telehealth.openapi.yaml"
SESSION = {"Authorization": "Bearer of-the-session"}
OF_HTTPX = {"host", "accept", "accept-encoding", "connection", "user-agent", "content-length"}
LETTERS = st.characters(min_codepoint=ord("a"), max_codepoint=ord("z")) | st.sampled_from("AZ_-.,:$%{}'\"")
# The same examples in each run: a mutant that is equivalent in a way not known yet must not fail somebody else's change.
PACE = settings(
    max_examples=50, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@dataclass(frozen=True)
class Recorded:
    """An answer, and the request that gets it."""

    method: str
    path: str
    status: int
    body: Any
    sent: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    signed_in: bool = False
    with_headers: dict[str, str] = field(default_factory=dict)
    slow: bool = False

    def answers(self, request: httpx.Request) -> bool:
        sent: Any = request.content.decode() or None
        if request.headers.get("content-type") == "application/json":
            sent = json.loads(request.content)
        own = {name: value for name, value in request.headers.items() if name not in OF_HTTPX}
        if sent is not None:
            own.pop("content-type", None)
        wanted = {**self.with_headers, **({"authorization": SESSION["Authorization"]} if self.signed_in else {})}
        path = request.url.raw_path.decode()
        return (request.method, path, sent, own) == (self.method, self.path, self.sent, wanted)

    def response(self) -> httpx.Response:
        return httpx.Response(self.status, json=self.body, headers=self.headers)


BOOKED = {"id": "c-1", "status": "booked", "patient": "Smoke Check", "minutes": 30, "tags": ["new"]}
ORIGINALS: list[tuple[str, list[Recorded]]] = [
    (
        """
checks:
  - name: one page of entries
    description: any text
    signed_in: true
    request: GET /entries?limit=${limit}
    parameters:
      - {id: shortest, limit: 1}
      - {id: longest, limit: 100}
    expect:
      status: 200
      headers: {X-Total: "2", Cache-Control: {matches: ^no-store}}
      body: {items: [{ref: c-1, open: true, at: 2030-01-15T09:30:00Z}], next: ""}
      within_ms: 1000
""",
        [
            Recorded(
                "GET",
                f"/entries?limit={limit}",
                200,
                {"items": [{"ref": "c-1", "open": True, "at": "2030-01-15T09:30:00Z"}], "next": "", "more": 1},
                headers={"X-Total": "2", "Cache-Control": "no-store, private"},
                signed_in=True,
            )
            for limit in (1, 100)
        ],
    ),
    (
        """
checks:
  - name: an entry is written
    request:
      method: POST
      path: /entries
      query: {lang: en}
      headers: {X-Client: smoke}
      json: {patient: Smoke Check, minutes: 30}
    expect:
      status: [201, 202]
      schema:
        type: object
        required: [status]
        properties:
          id: {type: string, pattern: ^c-}
          status: {enum: [booked, open]}
          minutes: {type: integer, minimum: 15}
          tags: {type: array, items: {type: string, minLength: 3}, minItems: 1}
""",
        [
            Recorded(
                "POST",
                "/entries?lang=en",
                201,
                BOOKED,
                sent={"patient": "Smoke Check", "minutes": 30},
                with_headers={"x-client": "smoke"},
            )
        ],
    ),
    (
        """
checks:
  - name: the service is healthy
    request: GET /health
    expect:
      status: 200
      schema: Health
      body: {status: ok}
""",
        [Recorded("GET", "/health", 200, {"status": "ok", "version": "1.0.0"})],
    ),
    (
        """
checks:
  - name: an entry is written and read
    as: user
    parameters:
      - {minutes: 30}
    steps:
      - name: write
        request: {method: POST, path: /entries, form: {minutes: "${minutes}"}}
        expect: {status: 201, headers: {Location: {matches: ^/entries/}}}
        capture: {place: header Location, key: $.ref}
      - name: read
        request: GET ${place}
        until: {within: 2s, every: 1s}
        expect:
          status: 200
          body: {ref: "${key}", minutes: {greater: 29}, tags: {length: 2}, title: {contains: Smoke}}
          json:
            $.tags[*]: {type: string}
            $.minutes: "${minutes}"
""",
        [
            Recorded(
                "POST",
                "/entries",
                201,
                {"ref": "c-1"},
                sent="minutes=30",
                headers={"Location": "/entries/c-1"},
                signed_in=True,
            ),
            Recorded(
                "GET",
                "/entries/c-1",
                200,
                {"ref": "c-1", "minutes": 30, "tags": ["new", "open"], "title": "A Smoke Check"},
                signed_in=True,
            ),
        ],
    ),
]


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract.load(DOCUMENT)


def read(tmp_path: Path, text: str, contract: Contract) -> tuple[DeclaredCheck, ...]:
    path = tmp_path / "mutant.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path, "suites/endpoints/mutant.yaml", contract.schemas)


class Service:
    """Answers as recorded, and 404 to every other request."""

    def __init__(self) -> None:
        self.recorded: list[Recorded] = []
        self.client = httpx.Client(
            base_url="http://api.example", transport=httpx.MockTransport(self.answer), trust_env=False
        )

    def answer(self, request: httpx.Request) -> httpx.Response:
        found = next((one for one in self.recorded if one.answers(request)), None)
        response = httpx.Response(404) if found is None else found.response()
        response.elapsed = timedelta(days=1) if found is not None and found.slow else timedelta(milliseconds=1)
        return response


SERVICE = Service()


def passes(checks: tuple[DeclaredCheck, ...], recorded: list[Recorded], contract: Contract) -> bool:
    """Return whether all checks pass if the service answers as recorded."""
    SERVICE.recorded = recorded
    for check in checks:
        for case in check.cases:
            session = SESSION if check.signed_in or check.session else {}
            clock = count()  # each look at it takes a second
            asker = Asker(SERVICE.client, contract, session, turn=Turn(now=clock.__next__, sleep=lambda _: None))
            try:
                asker.play(check, case, Values({"email": "a@b.example", "password": "p"}, "marker"))
            except CheckFailed:
                return False
    return True


def wrong_answers(recorded: list[Recorded]) -> Iterator[list[Recorded]]:
    """Yield the recorded answers with one thing wrong: a status, a header, a value or a key of the body, the time."""
    for number, one in enumerate(recorded):
        rest = [*recorded[:number], *recorded[number + 1 :]]
        yield from ([*rest, replace(one, status=status)] for status in (200, 201, 404, 500) if status != one.status)
        yield [*rest, replace(one, slow=True)]
        for name in one.headers:
            kept = {key: value for key, value in one.headers.items() if key != name}
            yield from ([*rest, replace(one, headers=headers)] for headers in (kept, {**kept, name: "x"}))
        yield from ([*rest, replace(one, body=body)] for body in wrong_values(one.body))


def wrong_values(value: Any) -> Iterator[Any]:
    """Yield the JSON value with one part of another type, another value, or missing."""
    others: list[Any] = [None, 0, "", "x", True, [], {}]
    yield from (other for other in others if type(other) is not type(value))
    if isinstance(value, str):
        yield value + "x"
        yield "x" + value
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield -1000
        yield value + 0.5
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield [*value[:number], *value[number + 1 :]]
            yield from ([*value[:number], other, *value[number + 1 :]] for other in wrong_values(inner))
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield {other: one for other, one in value.items() if other != key}
            yield from ({**value, key: other} for other in wrong_values(inner))


@cache
def original(number: int) -> tuple[DeclaredCheck, ...]:
    with TemporaryDirectory() as folder:
        return read(Path(folder), ORIGINALS[number][0], Contract.load(DOCUMENT))


@cache
def rejected(number: int) -> list[list[Recorded]]:
    """Return the wrong answers that the original rejects."""
    checks, contract = original(number), Contract.load(DOCUMENT)
    return [answers for answers in wrong_answers(ORIGINALS[number][1]) if not passes(checks, answers, contract)]


def meaning(checks: tuple[DeclaredCheck, ...]) -> Any:
    """Return what the checks ask and expect, without names, ids and lines."""
    return [
        (
            one.signed_in,
            one.session,
            one.on,
            [[(asked.step, asked.until) for asked in case.steps] for case in one.cases],
        )
        for one in checks
    ]


def assert_harmless(tmp_path: Path, mutant: str, number: int, contract: Contract) -> None:
    recorded = ORIGINALS[number][1]
    try:
        checks = read(tmp_path, mutant, contract)
    except InvalidChecks:
        return
    if meaning(checks) == meaning(original(number)) or not passes(checks, recorded, contract):
        return
    for answers in rejected(number):
        assert not passes(checks, answers, contract), f"accepts {answers} now:\n{mutant}"


@pytest.mark.parametrize("number", range(len(ORIGINALS)))
def test_the_originals_pass_and_reject_wrong_answers(tmp_path: Path, contract: Contract, number: int) -> None:
    text, recorded = ORIGINALS[number]
    checks = read(tmp_path, text, contract)
    assert passes(checks, recorded, contract)
    assert len(rejected(number)) > 8


numbers = st.sampled_from(range(len(ORIGINALS)))


@PACE
@given(number=numbers, data=st.data())
def test_a_letter_changed(tmp_path: Path, contract: Contract, number: int, data: st.DataObject) -> None:
    text = ORIGINALS[number][0]
    places = [place for place, letter in enumerate(text) if not letter.isspace() and not letter.isdigit()]
    place = data.draw(st.sampled_from(places))
    how = data.draw(st.sampled_from(["replace", "delete", "insert", "swap"]))
    letter = data.draw(LETTERS)
    new = {"replace": letter, "delete": "", "insert": letter + text[place], "swap": text[place + 1] + text[place]}[how]
    assert_harmless(tmp_path, text[:place] + new + text[place + 1 + (how == "swap") :], number, contract)


def parts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield each part of a JSON value with its path."""
    yield path, value
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ()):
        yield from parts(inner, (*path, key))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def document(number: int) -> Any:
    return yaml.load(ORIGINALS[number][0].replace("2030-01-15T09:30:00Z", "'2030-01-15T09:30:00Z'"), yaml.SafeLoader)


@PACE
@given(number=numbers, data=st.data())
def test_a_key_moved(tmp_path: Path, contract: Contract, number: int, data: st.DataObject) -> None:
    whole = document(number)
    objects = [path for path, value in parts(whole) if isinstance(value, dict)]
    source = data.draw(st.sampled_from([path for path in objects if at(whole, path)]))
    key = data.draw(st.sampled_from(sorted(at(whole, source))))
    target = data.draw(st.sampled_from([path for path in objects if path[: len(source) + 1] != (*source, key)]))
    moved = at(whole, source).pop(key)
    at(whole, target)[key] = moved
    assert_harmless(tmp_path, json.dumps(whole), number, contract)


@PACE
@given(number=numbers, data=st.data())
def test_a_type_swapped(tmp_path: Path, contract: Contract, number: int, data: st.DataObject) -> None:
    whole = document(number)
    path, value = data.draw(st.sampled_from([one for one in parts(whole) if one[0]]))
    others = [None, 0, 1, "", "x", True, False, [], [value], {}, {"a": value}, str(value), json.dumps(value)]
    if isinstance(value, list | dict) and value:
        others.append(next(iter(value.values() if isinstance(value, dict) else value)))
    other = data.draw(st.sampled_from([one for one in others if type(one) is not type(value)]))
    at(whole, path[:-1])[path[-1]] = other
    assert_harmless(tmp_path, json.dumps(whole), number, contract)
