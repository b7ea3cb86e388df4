"""Patterns of checks: each search ends in time while other threads run, and a pattern means what it means to the re module."""

from __future__ import annotations

import json
import re
import threading
import time
import warnings
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from verification.declarative import inline_schemas, judge
from verification.declarative.checks import load
from verification.declarative.source import InvalidChecks
from verification.journeys import patterns
from verification.journeys.expectations import NotCaptured, problems
from verification.journeys.leftovers import swept
from verification.journeys.model import Expectation, Request, Step, Sweep
from verification.journeys.placeholders import Values

SLOW = "^(a|aa)+$"
TEXT = "a" * 60 + "!"
MESSAGE = (
    "the pattern ^(a|aa)+$ needed more than 0.1 s of CPU time on a text of 61 characters; write a pattern that can match a text in "
    r"one way only, such as ^[\w\s]*$ instead of ^(\w+\s?)*$"
)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a limit of a tenth of a second."""
    monkeypatch.setattr(patterns, "LONGEST_S", 0.1)


def answer(value: Any, **headers: str) -> Any:
    return SimpleNamespace(status=200, body=json.dumps(value).encode(), headers=httpx.Headers(headers))


def expecting(body: Any = None, **more: Any) -> Expectation:
    return Expectation((200,), has_body=body is not None, body=body, **more)


def test_a_repeat_inside_of_a_repeat_ends_in_time() -> None:
    """The re module needs 0.5 s for 24 characters and twice as long for each further one."""
    began = time.monotonic()
    found = list(problems(expecting({"name": {"matches": r"^(\w+\s?)*$"}}), answer({"name": "a" * 60 + "!"})))
    assert len(found) == 1
    assert time.monotonic() - began < 3


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    ("expect", "got", "where"),
    [
        (expecting({"a": [{"matches": SLOW}]}), answer({"a": [TEXT]}), "$.a[0]: "),
        (expecting({"a": {"contains": {"matches": SLOW}}}), answer({"a": [TEXT] * 100}), "$.a: "),
        (expecting(headers={"X-A": {"matches": SLOW}}), answer({}, **{"x-a": TEXT}), "header X-A: "),
        (expecting(json={"$..b": {"matches": SLOW}}), answer([{"b": TEXT}] * 100), "$[0]['b']: "),
        (expecting(json={f"$[?match(@, '{SLOW}')]": 1}), answer([TEXT]), f"$[?match(@, '{SLOW}')]: "),
        (expecting(json={f"$[?search(@, '{SLOW}')]": 1}), answer([TEXT]), f"$[?search(@, '{SLOW}')]: "),
    ],
)
def test_a_pattern_that_takes_too_long_is_a_problem_of_the_answer(expect: Expectation, got: Any, where: str) -> None:
    assert list(problems(expect, got)) == [where + MESSAGE]
    assert list(problems(expect, got, quote=False)) == [where + MESSAGE.replace(" on a text of 61 characters", "")]


@pytest.mark.usefixtures("short")
def test_the_pattern_of_a_secret_field_is_hidden() -> None:
    (problem,) = problems(expecting({"access_token": {"matches": SLOW}}), answer({"access_token": TEXT}))
    assert problem.startswith("$.access_token: the pattern (hidden) needed more than 0.1 s of CPU time")


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"pattern": SLOW}, TEXT),
        ({"items": {"propertyNames": {"pattern": SLOW}}}, [{TEXT: 1}]),
        ({"patternProperties": {SLOW: True}, "additionalProperties": False}, {TEXT: 1}),
        ({"additionalProperties": False, "patternProperties": {SLOW: True}}, {TEXT: 1}),
        ({"unevaluatedProperties": False, "allOf": [{"patternProperties": {SLOW: True}}]}, {TEXT: 1}),
    ],
)
def test_a_pattern_of_a_schema_that_takes_too_long_is_a_problem_of_the_answer(schema: Any, value: Any) -> None:
    response = httpx.Response(200, json=value, request=httpx.Request("GET", "http://x/"))
    response.elapsed = timedelta()
    expect = Expectation((200,), schema=schema)
    assert list(judge._mismatches(expect, response, None)) == [MESSAGE]


@pytest.mark.parametrize(
    ("schema", "value", "fits"),
    [
        ({"patternProperties": {"^a": {"type": "string"}}}, {"a1": "x", "b": 1}, True),
        ({"patternProperties": {"^a": {"type": "string"}}}, {"a1": 1}, False),
        ({"patternProperties": {"^a": True, "1$": {"type": "string"}}}, {"a1": 1}, False),
        ({"patternProperties": {"^a": True}, "additionalProperties": False}, {"a.1\n": 1}, True),
        ({"patternProperties": {"^a": True}, "additionalProperties": False}, {"a.1": 1, "b": 1}, False),
        ({"patternProperties": {"^z": True}, "additionalProperties": {"type": "integer"}}, {"a": 1}, True),
        ({"allOf": [{"patternProperties": {"^a": True}}], "unevaluatedProperties": False}, {"a": 1}, True),
        ({"allOf": [{"patternProperties": {"^a": True}}], "unevaluatedProperties": False}, {"b": 1}, False),
        (
            {
                "properties": {"k": {"type": "string"}},
                "dependentSchemas": {"k": {"patternProperties": {"^a": True}}},
                "unevaluatedProperties": False,
            },
            {"k": "", "a": 1},
            True,
        ),
        ({"properties": {"a": True}, "patternProperties": {"^a": {"type": "string"}}}, {"a": 1}, False),
        (
            {
                "anyOf": [
                    {"properties": {"a": {"type": "integer"}}, "patternProperties": {"^a": {"minimum": 2}, "1$": {}}},
                    {"patternProperties": {"^c": True}},
                ],
                "unevaluatedProperties": False,
            },
            {"a": 1, "b1": 1},
            False,
        ),
        (
            {
                "allOf": [{"properties": {"a": {"type": "integer"}}, "patternProperties": {"^a": {"minimum": 2}}}],
                "unevaluatedProperties": False,
            },
            {"a": 2, "ab": 3},
            True,
        ),
        ({"pattern": "^a"}, "ab", True),
        ({"pattern": "^a"}, "b", False),
        ({"not": {"pattern": "^a"}}, "ab", False),
    ],
)
def test_schemas_with_patterns_judge_as_before(schema: Any, value: Any, fits: bool) -> None:
    assert (inline_schemas.error(schema, value) is None) is fits
    assert Draft202012Validator(schema).is_valid(value) is fits


@pytest.mark.parametrize(
    ("schema", "path", "message"),
    [
        (
            {"patternProperties": {"^n": {"type": "string"}}},
            ["patternProperties", "^n", "type"],
            "1 is not of type 'string'",
        ),
        (
            {"patternProperties": {"^m": True}, "additionalProperties": False},
            ["additionalProperties"],
            "Additional properties are not allowed ('name' was unexpected)",
        ),
    ],
)
def test_names_of_an_answer_are_not_made_into_a_pattern(schema: Any, path: list[str], message: str) -> None:
    """To compile 1,000 names as one pattern took 30 ms for each answer."""
    found = inline_schemas.error(schema, {"name": 1})
    assert found is not None
    assert (list(found.schema_path), found.message) == (path, message)


@pytest.mark.usefixtures("short")
def test_paths_that_may_differ_have_a_limit_too() -> None:
    check: Any = SimpleNamespace(differ=[f"$[?search(@, '{SLOW}')]"], place="a.yaml:1")
    response = httpx.Response(200, json=[TEXT], request=httpx.Request("GET", "http://x/"))
    (found,) = judge.differences(check, [response], [response])
    assert found.endswith(MESSAGE)


@pytest.mark.usefixtures("short")
def test_the_search_for_leftovers_has_a_limit() -> None:
    step = Step("list", "GET /", Request("GET", "/"), Expectation((200,)), {})
    sweep = Sweep(step, "$", {"name": {"matches": SLOW}}, {"id": "$.id"})
    with pytest.raises(NotCaptured, match=r"needed more than 0\.1 s"):
        swept(sweep, Values(None, "run-1"), answer([{"id": 1, "name": TEXT}] * 100))


def test_other_threads_run_during_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "LONGEST_S", 0.5)
    slow = threading.Thread(target=lambda: list(problems(expecting({"matches": SLOW}), answer(TEXT))))
    patterns.compiled(SLOW)
    slow.start()
    turns = 0
    while slow.is_alive():
        time.sleep(0.001)
        turns += 1
    assert turns > 10


PIECES = (
    *("a", "b", "{", "}", "[", "]", "^", "-", "(", ")", "(?:", "(?=", "(?!", "(?<=a", "|", "*", "+", "?", "{2}", "{1,2}", "{,3}"),
    *("{e}", "{e<=1}", "{i}", r"\w", r"\W", r"\d", r"\s", r"\b", r"\{", r"\[", r"\]", ".", "$", ":", "[:alpha:]", "1", ",", "é"),
    *("(?i)", "(?x)", "(?a)", "(?i:", "#", " ", "\n", "&&", "--", "~", "\\", "(?>", "++", "(?#x)", r"\N{BULLET}", "²", "½"),
)  # fmt: skip


@given(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=9).map("".join),
    st.text(alphabet="ab{}[]e:lph1 \né²½,i<=•", max_size=6),
)
def test_a_pattern_means_what_it_means_to_the_re_module(pattern: str, text: str) -> None:
    with warnings.catch_warnings(action="ignore"):
        try:
            found = re.search(pattern, text) is not None
        except (re.error, OverflowError):
            assert patterns.mistake(pattern) is not None
            return
        assert patterns.mistake(pattern) is None
        assert patterns.finds(pattern, text) is found


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("(?:foo){e<=1}", "fo", False),
        ("(?:foo){e<=1}", "foo{e<=1}", True),
        ("a{e}", "a", False),
        ("a{s<=1:[b]}", "b", False),
        (r"^\w+$", "e\u0301", False),
        (r"^\w+$", "x²", True),
        (r"x\b", "x²", False),
        (r"^[\w-]+$", "½-é", True),
        (r"(?a)^\w$", "é", False),
        (r"\N{BULLET}", "•", True),
        ("(?x) a # {e} [\n b", "ab", True),
    ],
)
def test_parts_that_the_engine_would_read_in_another_way(pattern: str, text: str, found: bool) -> None:
    assert patterns.mistake(pattern) is None
    assert patterns.finds(pattern, text) is found is (re.search(pattern, text) is not None)


@pytest.mark.filterwarnings("ignore:Possible nested set")
@pytest.mark.parametrize(("text", "found"), [("b", False), (":]", True)])
def test_a_class_of_posix_is_a_set_of_characters(text: str, found: bool) -> None:
    assert patterns.finds("[[:alpha:]]", text) is found


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(?:(?:a{1000}){1000}){1000}", ["demands 1,000,000,000 characters by its repeats, and may demand 100,000", "; write"]),
        (r"\d{4294967294}", ["may demand 100,000", "; write smaller numbers in braces, and length for the length of a text"]),
        ("(?x:a b)", ["ignores blanks in one group only", "; write (?x) at its beginning"]),
        ("(?P<a", ["is not a regular expression", "; missing >"]),
        ("^*", ["is not a regular expression", "; nothing to repeat"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("expect", ["body: {{matches: '{}'}}", "schema: {{pattern: '{}'}}"])
def test_patterns_that_are_refused(tmp_path: Path, pattern: str, words: list[str], expect: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        f"checks:\n  - name: a\n    request: GET /\n    expect: {{status: 200, {expect.format(pattern)}}}\n"
    )
    with pytest.raises(InvalidChecks) as caught:
        load(path, "a.yaml")
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize(
    "pattern", [r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", "(a{1,1000}|b){0,1000}", ".{90000}", "(x{300}y){300}"]
)
def test_usual_repeats_are_allowed(pattern: str) -> None:
    assert patterns.mistake(pattern) is None
