"""A value that fills a placeholder, or an answer that is not JSON, never makes a check weaker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.verification.test_yaml_vocabulary import World, always, loaded, one, refusal

CAPTURING = """
checks:
  - name: two requests
    steps:
      - {name: first, request: GET /a, expect: {status: 200}, capture: {x: $.x}}
      - {name: second, request: GET /b, expect: {status: 200, body: {y: EXPECTED}}}
"""


def capturing(expected: str) -> str:
    return CAPTURING.replace("EXPECTED", expected)


def answering(raw: bytes) -> World:
    return World(lambda _: httpx.Response(200, content=raw))


def echo(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json=json.loads(request.content))


@pytest.mark.parametrize(
    ("expected", "parameter", "words"),
    [
        ("{contains: '${n}'}", "''", "every text contains an empty one"),
        ("{matches: '${n}'}", "''", "expected a regular expression"),
        ("{matches: '^${n}$'}", "'('", "is not a regular expression"),
        ("'${n}'", "{}", "accepts every object"),
        ("{type: string, length: '${n}'}", "1", "type and length stand in one object"),
    ],
)
def test_parameter_that_makes_an_expectation_empty_is_refused(
    tmp_path: Path, expected: str, parameter: str, words: str
) -> None:
    text = one(expect=f"{{status: 200, body: {{a: {expected}}}}}", more=f"    parameters: [{{n: {parameter}}}]\n")
    assert words in refusal(tmp_path, text)


def test_parameter_of_a_header_is_a_pattern_too(tmp_path: Path) -> None:
    text = one(expect="{status: 200, headers: {X-A: {matches: '${n}'}}}", more="    parameters: [{n: '['}]\n")
    assert "is not a regular expression" in refusal(tmp_path, text)


@pytest.mark.parametrize("expected", ["{contains: '${x}'}", "{matches: '${x}'}"])
def test_captured_empty_text_is_found_nowhere(tmp_path: Path, expected: str) -> None:
    check = loaded(tmp_path, capturing(expected))
    assert "$.y" in always(200, {"x": "", "y": "anything"}).fails(check)
    always(200, {"x": "any", "y": "anything"}).play(check)


@pytest.mark.parametrize(
    ("x", "y", "fits"),
    [("a+b", "a+b", True), ("a.b", "axb", False), ("(", "(", True), ("[a]", "a", False), (1.5, "1.5", True)],
)
def test_captured_value_in_a_pattern_stands_for_its_text(tmp_path: Path, x: Any, y: str, fits: bool) -> None:
    check = loaded(tmp_path, capturing("{matches: '^${x}$'}"))
    world = always(200, {"x": x, "y": y})
    if fits:
        world.play(check)
    else:
        assert "expected matches" in world.fails(check)


@pytest.mark.parametrize(
    ("raw", "expect"),
    [
        (b'{"p": NaN}', "body: {p: {type: number}}"),
        (b'{"p": Infinity}', "json: {$.p: {greater: 0}}"),
        (b'{"p": -Infinity}', "schema: {type: object, properties: {p: {type: number, maximum: 1}}}"),
        (b'{"p": 2, "p": 1}', "body: {p: 1}"),
        ('{"p": 1}'.encode("utf-16"), "body: {p: 1}"),
        (b"[" * 100_000, "json: {$.p: 1}"),
    ],
    ids=["NaN", "Infinity", "-Infinity in a schema", "name twice", "UTF-16", "deep"],
)
def test_body_that_is_not_json_fits_no_expectation(tmp_path: Path, raw: bytes, expect: str) -> None:
    check = loaded(tmp_path, one(expect=f"{{status: 200, {expect}}}"))
    assert "the body is not JSON" in answering(raw).fails(check)


def test_json_after_a_byte_order_mark_and_a_large_number_are_read(tmp_path: Path) -> None:
    check = loaded(tmp_path, one(expect="{status: 200, body: {p: {greater: 1}, q: ä}}"))
    answering(b'\xef\xbb\xbf{"p": 1e400, "q": "\\u00e4"}').play(check)
    assert "$.p is 0" in answering(b'\xef\xbb\xbf{"p": 0, "q": "\\u00e4"}').fails(check)


@pytest.mark.parametrize("path", ["$", "$.*", "$..*", "$[*]"])
def test_comparison_of_nothing_is_refused(tmp_path: Path, path: str) -> None:
    text = one(more=f"    on: both\n    differ: ['$.version', '{path}']\n")
    assert "nothing would be compared" in refusal(tmp_path, text)


ROWS = "    parameters: {csv: rows.csv}\n"
ECHOED = one(
    '{method: POST, path: /orders, json: {n: "${n}"}}',
    expect='{status: 200, body: {n: {matches: "^${n}$"}}}',
    more=ROWS,
)


def with_rows(tmp_path: Path, text: str, content: str) -> str:
    folder = tmp_path / "suites" / "orders"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rows.csv").write_bytes(content.encode())
    return text


@pytest.mark.parametrize(
    ("content", "values"),
    [
        ("n\r\na\r\n\r\n", ["a"]),
        ('n\n"a\r\nb"\n', ["a\r\nb"]),
        ("n\na\u2028b\x0cc\x85d\n", ["a\u2028b\x0cc\x85d"]),
        ('\ufeffn\na\n""\n', ["a", ""]),
    ],
    ids=["empty line at the end", "line break in quotes", "other line breaks", "byte order mark"],
)
def test_rows_of_a_csv_file_are_read_as_they_are(tmp_path: Path, content: str, values: list[str]) -> None:
    text = one('{method: POST, path: /orders, json: {n: "${n}"}}', more=ROWS)
    check = loaded(tmp_path, with_rows(tmp_path, text, content))
    world = World(echo)
    world.play(check)
    assert [json.loads(request.content)["n"] for request in world.seen] == values


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("n\na\n\nb\n", "rows.csv:3: the row has 0 cells"),
        ("n\nb\na\0b\n", "rows.csv:3: the character NUL"),
        ('n\n""\n', "expected a regular expression"),
    ],
)
def test_rows_that_mean_nothing_are_refused(tmp_path: Path, content: str, words: str) -> None:
    text = ECHOED.replace("^${n}$", "${n}")
    assert words in refusal(tmp_path, with_rows(tmp_path, text, content))
