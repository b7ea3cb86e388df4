"""Checks in YAML: valid files, the messages about mistakes, and the judgement of answers."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from textwrap import dedent, indent

import httpx
import pytest

from verification.contract.openapi import Contract
from verification.declarative.checks import DeclaredCheck, fill, load
from verification.declarative.judge import Asker, CheckFailed
from verification.declarative.source import InvalidChecks
from verification.http.client import open_client
from verification.journeys.placeholders import Values

DOCUMENT = Path(__file__).resolve().parents[2] / "suites" / "contract" / "telehealth.openapi.yaml"
GOOD = """
checks:
  - name: one page of consults
    signed_in: true
    request: GET /consults?limit=${limit}&day=${day}&word=${word}
    parameters:
      - {limit: 1, day: 2030-01-15, word: yes}
      - {limit: 100, day: x, word: on}
    expect:
      status: 200
"""


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract.load(DOCUMENT)


def checks(tmp_path: Path, text: str) -> tuple[DeclaredCheck, ...]:
    path = tmp_path / "pages.yaml"
    path.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
    return load(path, "suites/health/pages.yaml")


def one(tmp_path: Path, body: str) -> str:
    """Return a file with one check whose request and expectation are these lines."""
    return "checks:\n  - name: a page\n" + indent(dedent(body).strip("\n"), "    ") + "\n"


def test_valid_file(tmp_path: Path) -> None:
    (check,) = checks(tmp_path, GOOD)
    assert (check.name, check.place, check.signed_in) == ("one page of consults", "suites/health/pages.yaml:2", True)
    # Dates and booleans of YAML 1.1 are loaded as strings, as in JSON.
    assert [case.steps[0].step.request.path for case in check.cases] == [
        "/consults?limit=1&day=2030-01-15&word=yes",
        "/consults?limit=100&day=x&word=on",
    ]
    assert [case.id for case in check.cases] == ["1-2030-01-15-yes", "100-x-on"]
    assert fill({"a": ["${n}", "no ${n}"]}, {"n": 3}) == {"a": [3, "no 3"]}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, ["empty", "checks:"]),
        ("checks: []", 1, ["[]", "must not be empty"]),
        ("cheks:\n  - {}", 1, ["unknown key 'cheks'", "did you mean 'checks'?"]),
        ("checks:\n  - name: a page\n    name: another", 3, ["'name' stands there twice"]),
        ("checks:\n  - {name: x", 2, ["not YAML"]),
        ("checks:\n  - name: a page", 2, ["'request' is missing", "'a page'"]),
        ("checks:\n  - name: a\n    request: fetch /x\n    expect: {status: 200}", 3, ["GET /health", "fetch /x"]),
        ("checks:\n  - name: a[1]\n    request: GET /x\n    expect: {status: 200}", 2, ["a[1]", "letters"]),
        (
            "checks:\n  - name: a\n    request: GET /\n    expect:\n      status: 200\n      with_in: 5",
            6,
            ["unknown key 'with_in' in expect of check 'a'", "did you mean 'within_ms'?"],
        ),
        ("checks:\n  - name: a\n    request: GET /\n    expect:\n      status: ok", 5, ['"ok"', "status"]),
        (
            "checks:\n  - name: a\n    request: GET /${limt}\n    parameters: [{limit: 1}]\n    expect: {status: 200}",
            3,
            ["${limt} has no value", "did you mean 'limit'?"],
        ),
        (
            "checks:\n  - name: a\n    request: GET /\n    parameters: [{b: 1}, {c: 1}]\n    expect: {status: 200}",
            4,
            ["same names: b, c"],
        ),
        (
            "checks:\n  - {name: a, request: GET /, expect: {status: 200}}\n"
            "  - {name: a, request: GET /, expect: {status: 200}}",
            2,
            ["2 checks are named 'a'"],
        ),
        (
            "checks:\n  - name: a\n    request: {method: POST, path: /, json: 1, body: x}\n    expect: {status: 200}",
            3,
            ["json or body, not both"],
        ),
        (
            "checks:\n  - name: a\n    request: GET /\n    expect: {status: 200, headers: {X: {matches: '('}}}",
            4,
            ["not a regular expression"],
        ),
        (
            "checks:\n  - name: a\n    request: GET /\n    expect: {status: 200, schema: {type: nothing}}",
            4,
            ["nothing", "expected one of"],
        ),
        ("checks:\n  - name: setup_module\n    request: GET /\n    expect: {status: 200}", 2, ["pytest"]),
    ],
)
def test_each_mistake_is_reported_with_its_line(tmp_path: Path, text: str, line: int, words: list[str]) -> None:
    with pytest.raises(InvalidChecks) as caught:
        checks(tmp_path, text)
    first = str(caught.value).splitlines()[0]
    assert first.startswith(f"suites/health/pages.yaml:{line}:"), str(caught.value)
    assert [word for word in words if word not in first] == [], first


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidChecks) as caught:
        checks(tmp_path, "checks:\n  - {nam: a, request: GET /}\n  - {name: b, request: GET /, expect: {stats: 2}}")
    assert len(str(caught.value).splitlines()) >= 4


def judged(contract: Contract, check: DeclaredCheck, response: httpx.Response) -> str:
    """Return the message about the answer, or an empty string if the check passes."""
    response.elapsed = timedelta(
        milliseconds=1
    )  # httpx does not measure the time of a mock's answer, which is already read
    transport = httpx.MockTransport(lambda _request: response)
    with httpx.Client(base_url="http://api.telehealth.localhost:1", transport=transport) as client:
        try:
            play(client, check, contract)
        except CheckFailed as failure:
            return str(failure)
    return ""


def play(client: httpx.Client, check: DeclaredCheck, contract: Contract | None = None) -> list[httpx.Response]:
    (case,) = check.cases
    return Asker(client, contract, {"Authorization": "Bearer canary-1"}).play(check, case, Values(None, "marker"))


@pytest.mark.parametrize(
    ("expect", "response", "words"),
    [
        ("{status: 200}", httpx.Response(200, text="anything"), []),
        ("{status: [200, 404]}", httpx.Response(404), []),
        ("{status: 200}", httpx.Response(503), ["GET /pages: status 503, expected 200"]),
        ("{status: 200, headers: {X-A: b}}", httpx.Response(200, headers={"x-a": "b"}), []),
        ("{status: 200, headers: {X-A: b}}", httpx.Response(200), ["header X-A is missing, expected b"]),
        ("{status: 200, headers: {X-A: null}}", httpx.Response(200, headers={"x-a": "b"}), ["expected none"]),
        ("{status: 200, headers: {X-A: {matches: ^b+$}}}", httpx.Response(200, headers={"x-a": "bb"}), []),
        ("{status: 200, headers: {X-A: {matches: ^c}}}", httpx.Response(200, headers={"x-a": "b"}), ["matches ^c"]),
        ("{status: 200, body: {a: 1}}", httpx.Response(200, json={"a": 1, "b": 2}), []),
        ("{status: 200, body: {a: 1.0}}", httpx.Response(200, json={"a": 1}), []),
        ("{status: 200, body: {a: 1}}", httpx.Response(200, json={"a": True}), ["$.a is true, expected 1"]),
        (
            "{status: 200, body: {stat: 1}}",
            httpx.Response(200, json={"state": 1}),
            ["missing", "did you mean 'state'?"],
        ),
        ("{status: 200, body: {a: [{b: 1}]}}", httpx.Response(200, json={"a": [{"b": 2}]}), ["$.a[0].b is 2"]),
        ("{status: 200, body: []}", httpx.Response(200, json=[1]), ["$ has 1 elements, expected 0"]),
        ("{status: 200, body: {a: 1}}", httpx.Response(200, text="<html>"), ["not JSON", "<html>"]),
        (
            "{status: 200, body: {access_token: x}}",
            httpx.Response(200, json={"access_token": "canary-2"}),
            ["$.access_token", "hidden"],
        ),
        ("{status: 200, schema: Health}", httpx.Response(200, json={"status": "ok", "version": "1"}), []),
        ("{status: 200, schema: Health}", httpx.Response(200, json={"status": "ok"}), ["Health at $", "required"]),
        ("{status: 200, schema: Helth}", httpx.Response(200, json={}), ["no schema", "did you mean 'Health'?"]),
        ("{status: 200, schema: {minItems: 1}}", httpx.Response(200, json=[]), ["minItems 1"]),
        ("{status: 200, within_ms: 60000}", httpx.Response(200), []),
        ("{status: 200, within_ms: 0.0001}", httpx.Response(200), ["expected within 0.0001 ms"]),
    ],
)
def test_judgement_of_answers(
    tmp_path: Path, contract: Contract, expect: str, response: httpx.Response, words: list[str]
) -> None:
    (check,) = checks(tmp_path, one(tmp_path, f"request: GET /pages\nexpect: {expect}"))
    message = judged(contract, check, response)
    assert bool(message) == bool(words), message
    assert [word for word in words if word not in message] == [], message
    assert "canary" not in message
    assert not message or message.splitlines()[-1].startswith("  again:    curl -i "), message


def test_documented_operation_must_keep_the_contract(tmp_path: Path, contract: Contract) -> None:
    answer = httpx.Response(200, json={"status": "poor", "version": "1"})
    (strict,) = checks(tmp_path, one(tmp_path, "request: GET /health\nexpect: {status: 200}"))
    (lax,) = checks(tmp_path, one(tmp_path, "request: GET /health\nexpect: {status: 200, contract: false}"))
    assert '$.status is "poor", expected const "ok"' in judged(contract, strict, answer)
    assert judged(contract, lax, answer) == ""


def test_request_that_is_sent(tmp_path: Path, contract: Contract) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        response = httpx.Response(200)
        response.elapsed = timedelta()
        return response

    text = """
        request: {method: PUT, path: /a, query: {b: "${n}", c: true}, headers: {X-D: e}, json: {n: "${n}"}}
        parameters: [{n: 3}]
        expect: {status: 200}
    """
    (check,) = checks(tmp_path, one(tmp_path, text))
    with httpx.Client(base_url="http://x", transport=httpx.MockTransport(answer)) as client:
        play(client, check)
    (sent,) = seen
    assert (sent.method, str(sent.url), sent.content) == ("PUT", "http://x/a?b=3&c=true", b'{"n": 3}')
    assert (sent.headers["x-d"], sent.headers["authorization"]) == ("e", "Bearer canary-1")


def test_missing_answer_is_a_failure_with_its_place(tmp_path: Path, contract: Contract) -> None:
    (check,) = checks(tmp_path, one(tmp_path, "request: GET /health\nexpect: {status: 200}"))
    with open_client("http://127.0.0.1:1", timeout_s=2) as client, pytest.raises(CheckFailed) as caught:
        play(client, check)
    assert str(caught.value).startswith("suites/health/pages.yaml:2: GET /health: no answer (ConnectError")
