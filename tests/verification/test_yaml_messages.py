"""The typical mistakes of a person who writes checks: each message says what was expected, and what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from verification.declarative.checks import load
from verification.declarative.service import InvalidService, load_service
from verification.declarative.source import InvalidChecks
from verification.journeys.expectations import body_problems

CHECKS = """\
checks:
  - name: a page
    request: GET /pages
    expect: {status: 200}
"""
SERVICE = """\
service: pages
health: {request: GET /up, version: none}
dependencies: none
sessions: none
journeys:
  look:
    weight: 1
    steps:
      - {name: look, request: GET /pages, expect: {status: 200}}
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("    request", "\trequest", 3, "indent with spaces"),
        ("request: GET", "request GET", 3, "could not find expected ':'; write a colon and a blank after the key"),
        ("name: a page", "name: page: one", 2, "put a text with a colon in quotes, or correct the indentation"),
        ("    expect", "   expect", 4, "; correct the indentation (keys of a check stand below each other"),
        ("    request", "  request", 3, "; correct the indentation"),
        ("name: a page", "name: 'a' page", 2, "or a text's quotes"),
        ("    request", "      request", 3, "; put a text with a colon in quotes, or correct the indentation"),
        ("{status: 200}", "\n    status: 200", 4, "a value is missing; indent the lines that belong to it, or write null"),
        ("    expect", "    skip: true\n    expect", 4, "expected an object such as {reason: ticket 4711, until: YYYY-MM-DD}"),
        ("{status: 200}", "{status: 200, body: /a/${uuid}}", 4, 'put a text with ${…} in quotes, as in "GET /orders/${id}"'),
        ("GET /pages", "get /pages", 3, "write GET /pages"),
        ("GET /pages", "GET pages", 3, "write GET /pages"),
        ("GET /pages", "GET https://a.example/pages?a=1", 3, "write GET /pages?a=1: the address belongs to the environment"),
        ("GET /pages", "GET https://a.example", 3, "write GET /: the address"),
        ("GET /pages", "/pages", 3, "expected a method and a path, as in 'GET /health'"),
        ("status: 200", 'status: "200"', 4, "expected a number such as 200, or a list of numbers; write 200 without quotes"),
        ("status: 200", "status: OK", 4, "expected a number such as 200, or a list of numbers"),
        ("status: 200", "status: 200, within_ms: '50'", 4, "expected a number; write 50 without quotes"),
        ("status: 200", "status: 200, headers: {X-A: 5}", 4, 'expected a text or an object or null; write "5" in quotes'),
        ("status: 200", "status: 200, contract: no", 4, "expected true or false"),
        ("status: 200", "status: 200, json: {items.id: 1}", 4, "'items.id' is not a JSONPath"),
        ("status: 200", "status: 200, json: {items.id: 1}", 4, "it begins with $, as in $.items.id"),
        ("    expect", "    until: 10\n    expect", 4, "expected an object such as {within: 10s, every: 500ms}"),
        ("    expect", "    until: {within: 10}\n    expect", 4, "expected a duration such as 500ms, 10s or 2m; write 10s for seconds"),
        ("    expect", "    until: {within: 10 seconds}\n    expect", 4, "expected a duration such as 500ms, 10s or 2m"),
        ("    expect", "    parameters: pages.csv\n    expect", 4, "expected a list of objects, or {csv: FILE}"),
        ("expect: {status: 200}", "expect: 200", 4, "expected an object such as {status: 200}"),
        ("  - name", "    name", 1, "expected a list, in which each check begins with -"),
        ("checks:\n", "", 1, "in a file of checks, the list stands below 'checks:'"),
        ("GET /pages", "GET /pages/${my-id}", 3, "write ${my_id}"),
        ("GET /pages", "GET /pages/${secrets.KEY}", 3, "write ${secret.KEY}"),
        ("GET /pages", "GET /pages/${now+2w}", 3, "write a time as in ${now-90s}, ${now+5m}"),
        ("GET /pages", "GET /pages/${now+3000000d}", 3, "is not a time of the years 2 to 9998"),
        ("status: 200", "status: 200, body: {at: '${now-" + "9" * 5000 + "s}'}", 4, "; write a time as in ${now-90s}, ${now+5m}, ${now+2h} or ${now+30d}"),
        ("GET /pages", '{method: PUT, path: /, file: "a\\0b"}', 3, '"a\\u0000b" has the character NUL'),
        ("    expect", '    parameters: {csv: "a\\0b"}\n    expect', 4, '"a\\u0000b" has the character NUL'),
        ("    request: GET /pages", "    signed_in: true\n    request: GET /${account.emial}", 4, "; write account.email or account.password"),
        ("name: a page", "name: a\u2028 page", 2, "character U+2028 would begin a new line here"),
        ("{status: 200}", "{status: 200, body: {matches: '" + "(" * 3000 + "'}}", 4, "(' is not a regular expression"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_file_of_checks(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    assert old in CHECKS
    (tmp_path / "a.yaml").write_text(CHECKS.replace(old, new, 1))
    with pytest.raises(InvalidChecks) as caught:
        load(tmp_path / "a.yaml", "suites/pages/a.yaml")
    assert words in str(caught.value), str(caught.value)
    assert f"suites/pages/a.yaml:{line}:" in str(caught.value), str(caught.value)
    assert len(str(caught.value)) < 400, "a message quotes no long value"


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("weight: 1", "weight: heavy", 7, "expected a whole number"),
        ("weight: 1", "weight: '2'", 7, "expected a whole number; write 2 without quotes"),
        ("weight: 1", "live: yes", 7, "expected true or false"),
        ("GET /up", "get /up", 2, "write GET /up"),
        ("service: pages", "service: pages\nrepository: A/B", 2, "expected lower-case letters, digits and ._-/ between them"),
        ("service: pages", "service: pages\nenvironment: {level: a}", 2, "expected names of capital letters, digits and _"),
        ("service: pages", "service: pages\nprivate_fields: []", 2, "it must not be empty"),
        ("service: pages", "service: pages\nstores: {database: {find: SELECT 1}}", 2, "expected an SQL statement with %s for the id"),
        ("GET /pages", "'GET /pages?at=${now+3000000d}'", 9, "${now+3000000d} is not a time of the years 2 to 9998"),
        ("GET /pages", "'GET /pages?at=${now-800000d}'", 9, "; write a time as in ${now-90s}, ${now+5m}, ${now+2h} or ${now+30d}"),
        ("  look:", "  look [1]:", 5, "expected names of letters, digits, blanks and"),
        ("status: 200", "status: '200'", 9, "write 200 without quotes"),
        ("      - {name: look, request: GET /pages, expect: {status: 200}}", "      name: look", 8, "in which each step begins with -"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_description(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    assert old in SERVICE
    (tmp_path / "service.yaml").write_text(SERVICE.replace(old, new, 1))
    with pytest.raises(InvalidService) as caught:
        load_service(tmp_path / "service.yaml", "suites/service.yaml")
    assert words in str(caught.value), str(caught.value)
    assert f"suites/service.yaml:{line}:" in str(caught.value), str(caught.value)


@pytest.mark.parametrize(
    ("wanted", "got", "hint"),
    [
        ({"contain": "x"}, "xy", "did you mean 'contains'?"),
        ({"regex": "x"}, "xy", "did you mean 'matches'?"),
        ({"gt": 1}, 2, "did you mean 'greater'?"),
        ({"size": 1}, [1], "did you mean 'length'?"),
        ({"regex": "x"}, {"regex": "y"}, ""),
        ({"name": "x"}, "y", ""),
    ],
)
def test_a_word_of_another_tool_for_an_operator(wanted: object, got: object, hint: str) -> None:
    """It is no mistake of the file: a field may have that name. The check fails, and its message says what was probably meant."""
    (problem,) = body_problems(wanted, got)
    assert problem.endswith(hint)
    assert bool(hint) == ("did you mean" in problem)
