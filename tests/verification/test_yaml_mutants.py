"""Mutants of valid files of checks: each is refused, fails on a recorded answer, or rejects what the original rejects.

A mutant has one letter changed, one key moved, or one value of another type. The name of a field or header that must be absent
stays as it is: no recorded answer can show that it is mistyped. So do the anchors of regular expressions, which may be meant.
"""

from __future__ import annotations

import json
import re
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

from tests.verification.mutating import MUTATIONS, hunt, wrong_values
from verification.contract.openapi import Contract
from verification.declarative.checks import DeclaredCheck, load
from verification.declarative.demands import unknown_sessions, unusable_variables
from verification.declarative.exemptions import REQUIRED, today
from verification.declarative.judge import Asker, CheckFailed, differences
from verification.declarative.source import InvalidChecks
from verification.http.pool import Turn
from verification.journeys.model import Session
from verification.journeys.placeholders import Values

DOCUMENT = Path(__file__).resolve().parents[2] / "suites" / "contract" / "telehealth.openapi.yaml"
SESSION = {"Authorization": "Bearer of-the-session"}
ACCOUNT = {"email": "a@b.example", "password": "p"}
SECOND = {"Authorization": "Bearer of-the-second-account"}
OF_HTTPX = {"host", "accept", "accept-encoding", "connection", "user-agent", "content-length"}
VARIABLES = {"REGION": "eu-central-1", "SCAN_KEY": "a-long-enough-key"}
FILES = {"scan.txt": "a scan", "patients.csv": "id,patient,age\nyoung,Ann,4\n"}
KEPT = ("error", "X-Debug", "^", "+$", ")$")
SOON = today() + timedelta(days=30)


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
    second: bool = False
    with_headers: dict[str, str] = field(default_factory=dict)
    slow: bool = False

    def answers(self, request: httpx.Request) -> bool:
        sent = _sent(request)
        own = {name: value for name, value in request.headers.items() if name not in OF_HTTPX}
        if sent is not None:
            own.pop("content-type", None)
        session = SECOND if self.second else SESSION if self.signed_in else {}
        wanted = {**self.with_headers, **{name.lower(): value for name, value in session.items()}}
        path = request.url.raw_path.decode()
        return (request.method, path, sent, own) == (self.method, self.path, self.sent, wanted)

    def response(self) -> httpx.Response:
        return httpx.Response(self.status, json=self.body, headers=self.headers)


def _sent(request: httpx.Request) -> Any:
    """Return the JSON value, or the text; in a multipart form ``B`` is the boundary."""
    kind, text = request.headers.get("content-type", ""), request.content.decode()
    if kind == "application/json":
        return json.loads(text)
    if found := re.fullmatch("multipart/form-data; boundary=(.+)", kind):
        return text.replace(found[1], "B").replace("\r\n", "\n")
    return text or None


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

ORIGINALS += [
    (
        """
checks:
  - name: a scan is sent and analysed
    severity: required
    independent: true
    as: user
    parameters: {csv: patients.csv, types: {age: integer}}
    steps:
      - name: upload
        request:
          method: POST
          path: /scans
          multipart: {patient: "${patient}", age: "${age}", scan: {file: scan.txt, name: a.txt, content_type: text/plain}}
        expect: {status: 201, json: {$.age: "${age}"}}
        capture: {id: "$.items[0].id"}
      - name: send it again
        request: {method: PUT, path: "/scans/${id}", file: scan.txt, headers: {X-Key: "${secret.SCAN_KEY}"}}
        expect: {status: 200, headers: {X-Debug: null}}
      - name: wait
        request: {method: GET, path: "/scans/${id}", query: {region: "${env.REGION}"}}
        until: {within: 4s, every: 1s}
        expect:
          status: 200
          body: {error: {absent: true}, state: {matches: ^(done|failed)$}, found: {equals: {a: 1}}, size: {less: 10}}
          json:
            $.marks[?@.level > 1].text: {contains: bone}
            $.marks: {length: 2}
            $.seen_at: {greater: 2030-01-01T00:00:00Z}
            $.state: done
      - {name: read as another, account: second, request: "GET /scans/${id}", expect: {status: 403}}
    undo:
      - {name: remove, request: "DELETE /scans/${id}", expect: {status: 204}}
""",
        [
            one
            for patient, age in (("Ann", 4),)
            for one in (
                Recorded(
                    "POST",
                    "/scans",
                    201,
                    {"age": age, "items": [{"id": f"s-{age}"}]},
                    sent=(
                        f'--B\nContent-Disposition: form-data; name="patient"\n\n{patient}\n'
                        f'--B\nContent-Disposition: form-data; name="age"\n\n{age}\n'
                        '--B\nContent-Disposition: form-data; name="scan"; filename="a.txt"\nContent-Type: text/plain\n\na scan\n--B--\n'
                    ),
                    signed_in=True,
                ),
                Recorded(
                    "PUT",
                    f"/scans/s-{age}",
                    200,
                    {},
                    sent="a scan",
                    with_headers={"x-key": VARIABLES["SCAN_KEY"]},
                    signed_in=True,
                ),
                Recorded(
                    "GET",
                    f"/scans/s-{age}?region=eu-central-1",
                    200,
                    {
                        "state": "done",
                        "found": {"a": 1},
                        "size": 9,
                        "seen_at": "2031-01-01T00:00:00Z",
                        "marks": [{"level": 2, "text": "a bone"}, {"level": 1, "text": "skin"}],
                    },
                    signed_in=True,
                ),
                Recorded("GET", f"/scans/s-{age}", 403, None, second=True),
                Recorded("DELETE", f"/scans/s-{age}", 204, None, signed_in=True),
            )
        ],
    ),
    (
        """
checks:
  - name: both colours agree
    severity: advisory
    on: both
    differ: [$.version, $.seen.at]
    request: GET /ready
    expect: {status: 200, contract: false}
""",
        [Recorded("GET", "/ready", 200, {"version": "1", "seen": {"at": 5, "by": "x"}, "parts": [1, 2]})],
    ),
    (
        f"""
checks:
  - name: not now
    skip: {{reason: the vendor repairs it, until: {SOON}}}
    on: each
    request: {{method: POST, path: /echo, body: some text, headers: {{Content-Type: text/plain}}}}
    expect: {{status: 200, body: {{contains: some}}}}
""",
        [Recorded("POST", "/echo", 200, "some text", sent="some text")],
    ),
    (
        """
checks:
  - name: all rules of a schema
    request: GET /rules
    expect:
      status: 200
      schema:
        title: any text
        type: object
        $defs: {short: {type: string, maxLength: 3}}
        minProperties: 9
        maxProperties: 9
        propertyNames: {pattern: "^[a-z]+$"}
        dependentRequired: {all: [one]}
        properties:
          all: {allOf: [{type: integer}, {multipleOf: 5}, {exclusiveMaximum: 11}, {exclusiveMinimum: 9}]}
          any: {type: array, items: {anyOf: [{const: a}, {type: string, format: date}]}}
          one: {type: array, items: {oneOf: [{type: integer, maximum: 5}, {type: integer, minimum: 5}]}}
          none: {type: integer, not: {enum: [3]}}
          when: {type: array, items: {if: {type: string}, then: {pattern: ^x}, else: {type: integer, minimum: 1}}}
          some: {type: array, contains: {type: integer, minimum: 9}, minContains: 1, maxContains: 2, uniqueItems: true, maxItems: 3}
          pair: {type: array, prefixItems: [{type: string}, {type: integer}], items: false, minItems: 2}
          open: {type: object, patternProperties: {^n: {type: integer}}, additionalProperties: false}
          ref: {$ref: "#/$defs/short"}
""",
        [
            Recorded(
                "GET",
                "/rules",
                200,
                {
                    "all": 10,
                    "any": ["a", "2030-01-01"],
                    "one": [3, 7],
                    "none": 4,
                    "when": ["xy", 2],
                    "some": [9, 1, 2],
                    "pair": ["a", 1],
                    "open": {"n": 1},
                    "ref": "abc",
                },
            )
        ],
    ),
]


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract.load(DOCUMENT)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the checks send, in a process with their variables."""
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    return filled(tmp_path)


def filled(folder: Path) -> Path:
    for name, content in FILES.items():
        (folder / name).write_text(content)
    return folder


def read(folder: Path, text: str, contract: Contract) -> tuple[DeclaredCheck, ...]:
    path = folder / "mutant.yaml"
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
LIVE = [Recorded("GET", "/ready", 200, {"version": "0", "seen": {"at": 4, "by": "x"}, "parts": [1, 2]})]


def passes(checks: tuple[DeclaredCheck, ...], recorded: list[Recorded], contract: Contract) -> bool:
    """Return whether all checks pass if the candidate answers as recorded, and live as it does but for what may differ."""
    if any(unknown_sessions(checks, {"user": Session("user", "basic")})) or any(
        unusable_variables(checks, VARIABLES, lambda _: None)
    ):
        return False
    for check in checks:
        for case in check.cases:
            session = SESSION if check.signed_in or check.session else {}
            clock = count()  # each look at it takes a second
            turn = Turn(now=clock.__next__, sleep=lambda _: None)
            asker = Asker(SERVICE.client, contract, session, turn=turn, second=SECOND)
            try:
                SERVICE.recorded = recorded
                answers = asker.play(check, case, Values(ACCOUNT, "marker"))
                SERVICE.recorded = LIVE if check.on == "both" else recorded
                live = answers if check.on == "candidate" else asker.play(check, case, Values(ACCOUNT, "marker"))
            except CheckFailed:
                return False
            if check.on == "both" and any(differences(check, answers, live)):
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


@cache
def original(number: int) -> tuple[DeclaredCheck, ...]:
    with TemporaryDirectory() as folder:
        return read(filled(Path(folder)), ORIGINALS[number][0], Contract.load(DOCUMENT))


@cache
def rejected(number: int) -> list[list[Recorded]]:
    """Return the wrong answers that the original rejects."""
    with TemporaryDirectory() as name:
        contract, checks = (
            Contract.load(DOCUMENT),
            read(filled(Path(name)), ORIGINALS[number][0], Contract.load(DOCUMENT)),
        )
        return [answers for answers in wrong_answers(ORIGINALS[number][1]) if not passes(checks, answers, contract)]


def meaning(checks: tuple[DeclaredCheck, ...]) -> Any:
    """Return what the checks ask and expect, without names, ids and lines."""
    return [
        (
            one.signed_in,
            one.session,
            one.on,
            one.differ,
            [
                [
                    (asked.second, asked.step.request, asked.step.expect, asked.step.capture, asked.until)
                    for asked in case.steps
                ]
                for case in one.cases
            ],
        )
        for one in checks
    ]


def exempt(checks: tuple[DeclaredCheck, ...]) -> list[tuple[bool, bool]]:
    """Return of each check whether it counts for its gate."""
    return [(one.severity == REQUIRED, one.skip is None) for one in checks]


def assert_harmless(folder: Path, mutant: str, number: int, contract: Contract) -> None:
    recorded = ORIGINALS[number][1]
    try:
        checks = read(folder, mutant, contract)
    except InvalidChecks:
        return
    assert exempt(checks) >= exempt(original(number)), f"counts for its gate no more:\n{mutant}"
    if meaning(checks) == meaning(original(number)) or not passes(checks, recorded, contract):
        return
    for answers in rejected(number):
        assert not passes(checks, answers, contract), f"accepts {answers} now:\n{mutant}"


@pytest.mark.parametrize("number", range(len(ORIGINALS)))
def test_the_originals_pass_and_reject_wrong_answers(folder: Path, contract: Contract, number: int) -> None:
    text, recorded = ORIGINALS[number]
    checks = read(folder, text, contract)
    assert passes(checks, recorded, contract)
    assert len(rejected(number)) > 7


@pytest.mark.parametrize("how", MUTATIONS)
@pytest.mark.parametrize("most", [60, pytest.param(2000, marks=pytest.mark.soak)])
def test_no_mutant_is_weaker(folder: Path, contract: Contract, how: str, most: int) -> None:
    def check(mutant: str, number: int) -> None:
        assert_harmless(folder, mutant, number, contract)

    hunt(check, MUTATIONS[how], [text for text, _ in ORIGINALS], KEPT, most)
