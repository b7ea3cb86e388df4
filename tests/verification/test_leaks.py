"""Leaks in answers are found and shown without secrets; an ordinary answer passes."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from verification.contract.leaks import leaks
from verification.contract.openapi import Contract, ContractViolation
from verification.journeys.tokens import altered, claims_of, forge, header_of, signer

DOCUMENT = Path(__file__).resolve().parents[2] / "suites" / "contract" / "telehealth.openapi.yaml"
PROBLEM = {"content-type": "application/problem+json"}


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract.load(DOCUMENT)


def answer(text: str, status: int = 422, path: str = "/no-such-page", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = httpx.Request("GET", f"http://api.telehealth.localhost:1{path}")
    return httpx.Response(status, text=text, headers={**PROBLEM, **named}, request=request)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"detail": "Traceback (most recent call last):\\n  File \\"x.py\\", line 3"}', "a stack trace"),
        ("at Object.handle (/srv/app/index.js:12:5)", "a stack trace"),
        ("java.lang.NullPointerException\n\tat com.acme.Web.get(Web.java:77)", "a stack trace"),
        ("panic: nil\n\ngoroutine 12 [running]:", "a stack trace"),
        ("cannot reach postgresql://app:canary-1@db.internal:5432/telehealth", "a connection string"),
        ("redis://:canary-1@cache:6379 is down", "a connection string"),
        ('syntax error at or near "x"', "SQL"),
        ("SELECT id FROM consults WHERE id = 1", "SQL"),
        ("psycopg.errors.UndefinedTable", "SQL"),
        ("/opt/telehealth/app/main.py", "a path of the server"),
        ("C:\\\\inetpub\\\\wwwroot", "a path of the server"),
        ("<title>Werkzeug Debugger</title>", "the page of a framework"),
        ("Cannot GET /no-such-page", "the page of a framework"),
    ],
)
def test_leak_in_the_body_is_found(text: str, what: str) -> None:
    (found, *_) = leaks(answer(text))
    assert found.startswith(what)
    assert "canary" not in found


@pytest.mark.parametrize(("name", "value"), [("x_powered_by", "Express"), ("server", "Werkzeug/3 Python/3.11")])
def test_banner_header_is_found(name: str, value: str) -> None:
    assert leaks(answer("{}", 422, "/", **{name: value})) == [f"the header {name.replace('_', '-')}: {value}"]


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "https://api.telehealth.com/problems/not-found", "title": "Not Found", "status": 404}',
        '{"title": "Not Found", "status": 404, "instance": "/consults/0b0e7a3e-3d5f-4e0b-9d2b-6f0a5f1c2d3e"}',
        '{"title": "x", "status": 422, "detail": "please select an hour from the list; update the date"}',
        '{"title": "x", "status": 422, "detail": "starts_at: format, at the latest 23:59:59"}',
        '{"title": "x", "status": 422, "detail": "see /docs/errors/limits for the rules"}',
    ],
)
@pytest.mark.parametrize("server", ["envoy", "uvicorn"])
def test_ordinary_answer_has_no_leak(text: str, server: str) -> None:
    assert leaks(answer(text, server=server)) == []


def test_refusal_needs_the_expected_status_and_a_problem_body(contract: Contract) -> None:
    refused = contract.refused
    good = '{"title": "Not Found", "status": 404}'
    refused(answer(good, 404), 404)
    refused(answer(good, 404), 405, 404)
    refused(answer("Not Found", 404, content_type="text/plain"), 404)  # the contract does not describe this page
    refused(answer(good, 404, path="/consults"), 404)  # the contract describes the operation but not this status
    one = "/consults/0b0e7a3e-3d5f-4e0b-9d2b-6f0a5f1c2d3e"
    for response, words in (
        (answer(good, 404), "GET /no-such-page: status 404, expected status 405"),
        (answer("<html>", 404, one, content_type="text/html"), "content type text/html, expected application/problem"),
        (
            answer("<html>", 404, "/consults", content_type="text/html"),
            "content type text/html, expected application/p",
        ),
        (answer('{"title": "Not Found", "status": 400}', 404, one), "$.status is 400, expected 404"),
        (answer('{"status": 404}', 404, one), 'required ["title", "status"]'),
        (answer('{"title": "redis://x/1", "status": 404}', 404), "a connection string"),
    ):
        with pytest.raises(ContractViolation) as caught:
            refused(response, 405 if "405" in words else 404)
        first, again = str(caught.value).splitlines()
        assert words in first
        assert again.startswith("  again: curl -i ")


def test_forged_tokens() -> None:
    claims = {"sub": "1", "exp": 2_000_000_000}
    token = signer("key")(claims)
    # The construction of RFC 7515. The service's own tests check that the JWT library accepts these tokens.
    assert (header_of(token), claims_of(token)) == ({"alg": "HS256", "typ": "JWT"}, claims)
    assert claims_of(altered(token, sub="2")) == {**claims, "sub": "2"}
    assert altered(token, sub="2").rpartition(".")[2] == token.rpartition(".")[2]
    assert forge(claims, None, "none").endswith(".")
    assert header_of(forge(claims, None, "none"))["alg"] == "none"
    for text in ("canary", "a.b.c", "a.W10.c"):
        with pytest.raises(ValueError, match="token") as caught:
            claims_of(text)
        assert "canary" not in str(caught.value)
