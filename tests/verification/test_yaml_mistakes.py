"""A typo never makes a check weaker: what a YAML file cannot mean is refused, with its line and a hint."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from jsonschema import Draft202012Validator

from verification.declarative import inline_schemas
from verification.declarative.checks import DeclaredCheck, load
from verification.declarative.source import InvalidChecks, read

FILE = "suites/health/pages.yaml"


def loaded(tmp_path: Path, text: str | bytes, **more: Any) -> tuple[DeclaredCheck, ...]:
    path = tmp_path / "pages.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(path, FILE, **more)


def refusal(tmp_path: Path, text: str | bytes, **more: Any) -> str:
    with pytest.raises(InvalidChecks) as caught:
        loaded(tmp_path, text, **more)
    return str(caught.value)


def check(request: str = "GET /pages", expect: str = "{status: 200}", more: str = "") -> str:
    return f"checks:\n  - name: a page\n    request: {request}\n    expect: {expect}\n{more}"


def schema(text: str) -> str:
    return check(expect=f"\n      status: 200\n      schema:\n        {text}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "{type: object, requird: [a]}",
            "unknown key 'requird' in expect.schema of check 'a page'; did you mean 'required'?",
        ),
        ("{type: object, propertys: {a: {type: string}}}", "did you mean 'properties'?"),
        ("{enum: [a, null]}", "the values are of type null and string"),
        ("{type: string, const: 1}", "a value of type number can never be of type string"),
        ("{type: object, properties: {a: true}}", "a schema without a rule accepts every value"),
        ("{minimum: 1, pattern: ^a}", "the schema has keywords for number and for string"),
        ("{const: a, minimum: 1}", "minimum has no effect on type string"),
        ("{typ: object}", "unknown key 'typ' in expect.schema of check 'a page'; did you mean 'type'?"),
        ("{type: array, items: {typ: object}}", "unknown key 'typ' in expect.schema.items"),
        ("{type: object, properties: {a: {enumm: [1]}}}", "unknown key 'enumm' in expect.schema.properties.a"),
        ("{type: objekt}", "\"objekt\" is not allowed in expect.schema.type of check 'a page': expected one of"),
        ("{type: string, format: datetime}", "expected a format that is checked (date, date-time,"),
        ("{type: string, format: uri}", "expected a format that is checked"),
        (
            "{type: object, minItems: 1}",
            "minItems has no effect on type object in expect of check 'a page'; it is for type array",
        ),
        ("{type: [string, integer], properties: {a: {const: 1}}}", "properties has no effect on type number or string"),
        ("{type: integer, maxLength: 3}", "maxLength has no effect on type number"),
        ("{type: object, allOf: [{minLength: 1}]}", "minLength has no effect on type object"),
        ("{type: object, $ref: '#/$defs/a', $defs: {a: {minItems: 1}}}", "minItems has no effect on type object"),
        ("{then: {type: object}}", "then has no effect without if"),
        ("{const: a, maxLength: 3}", "maxLength has no effect beside const, which names the values"),
        ("{type: string, enum: [a, b], pattern: ^a}", "pattern has no effect beside enum"),
        ("{type: object, properties: {a: {not: {type: integer, enum: [3]}}}}", "type has no effect beside the values"),
        (
            "{type: object, patternProperties: {size: {type: integer}}, additionalProperties: false}",
            "'size' is a name and no pattern in expect of check 'a page'; write it in properties, or ^size",
        ),
        ("{type: array, minContains: 2}", "minContains has no effect without contains"),
        ("{}", "a schema without a rule accepts every value"),
        ("{description: a page}", "a schema without a rule accepts every value"),
        ("{type: string, pattern: '('}", "'(' is not a regular expression in expect"),
        (
            "{$ref: '#/$defs/b', $defs: {a: {type: object}}}",
            "'#/$defs/b' refers to nothing in expect of check 'a page'; known: #/$defs/a",
        ),
        ("{$ref: 'https://a.example/b.json'}", "refers to nothing"),
        ("{type: object, $defs: {a: {type: object}}}", "nothing refers to #/$defs/a"),
        ("{$ref: '#/$defs/a', $defs: {a: {items: {$ref: '#/$defs/a'}}}}", "'#/$defs/a' refers to itself"),
        ("{not: {properties: {a: {const: 1}}}}", "'a' must also be in required: inside not"),
        (
            "{type: object, patternProperties: {^a: {type: string}}}",
            "patternProperties needs additionalProperties: false",
        ),
        ("{type: object, dependentRequired: {a: [b]}}", "'a' is not in properties"),
        ("{type: object, dependencies: {a: [b]}}", "did you mean 'dependentSchemas'?"),
        ("{type: array, items: [{type: string}]}", "expected an object or true or false"),
        ("{type: array, minItems: one}", '"one" is not allowed'),
        ("{type: object, contentMediaType: text/html}", "unknown key 'contentMediaType'"),
    ],
)
def test_rules_without_effect_in_a_schema(tmp_path: Path, text: str, words: str) -> None:
    message = refusal(tmp_path, schema(text))
    assert message.startswith((f"{FILE}:6:", f"{FILE}:7:")), message
    assert words in message


def test_formats_of_the_schema_are_those_that_are_checked() -> None:
    import json

    from verification.declarative.check_schema import SCHEMA_FILE

    document = json.loads(SCHEMA_FILE.read_text())
    Draft202012Validator.check_schema(document)
    formats = document["$defs"]["jsonSchema"]["properties"]["format"]["enum"]
    assert set(formats) <= set(inline_schemas.formats())


@pytest.mark.parametrize(
    ("text", "accepted", "rejected"),
    [
        ("{type: object, properties: {a: {const: 1}}}", [{"a": 1}], [{}, {"b": 1}, {"a": 2}]),
        ("{type: object, required: [b], properties: {a: {const: 1}}}", [{"a": 1, "b": 1}], [{"b": 1}, {"a": 1}]),
        ("{type: object, properties: {a: {const: 1}}, additionalProperties: false}", [{}, {"a": 1}], [{"b": 1}]),
        (
            "{properties: {a: {$ref: '#/$defs/x'}}, $defs: {x: {properties: {b: {type: string}}}}}",
            [{"a": {"b": ""}}],
            [{"a": {}}],
        ),
        ("{not: {properties: {a: {const: 1}}, required: [a]}}", [{}, {"a": 2}], [{"a": 1}]),
        ("{type: array, items: {properties: {id: {type: integer}}}}", [[], [{"id": 1}]], [[{}]]),
        ("{anyOf: [{properties: {a: {const: 1}}}, {properties: {b: {const: 1}}}]}", [{"a": 1}, {"b": 1}], [{}]),
        ("{minItems: 1}", [[1]], [[], {}, "a"]),
    ],
)
def test_properties_that_a_schema_names_must_be_there(
    tmp_path: Path, text: str, accepted: list[Any], rejected: list[Any]
) -> None:
    (found,) = loaded(tmp_path, schema(text))
    validator = Draft202012Validator(found.cases[0].steps[0].step.expect.schema)
    assert [value for value in accepted if not validator.is_valid(value)] == []
    assert [value for value in rejected if validator.is_valid(value)] == []


LIMIT = "    parameters: [{limit: 1}]\n"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (
            check("GET /pages?limit={limit}", more=LIMIT),
            3,
            "'{limit}' in a path is not a placeholder in request of check 'a page'; write ${name}",
        ),
        (check("GET /pages?limit=$limit", more=LIMIT), 3, "'$limit' in a path is not a placeholder"),
        (check("GET /pages?limit=${limit", more=LIMIT), 3, "'${limit' is not a placeholder"),
        (check("GET /pages/{id}"), 3, "'{id}' in a path is not a placeholder"),
        (check("GET /pages/${my-id}"), 3, "${my-id} is not a placeholder: a name has letters, digits and _"),
        (check("GET /pages/${}"), 3, "${} is not a placeholder"),
        (check("GET /pages/${ limit }", more=LIMIT), 3, "expected a method and a path"),
        (check("'GET /p?a=${limit}'", "{status: 200, body: {limit: '{limit}'}}", LIMIT), 4, "write ${limit}"),
        (check("'GET /p?a=${limit}'", "{status: 200, body: {limit: $limit}}", LIMIT), 4, "write ${limit}"),
        (check("'GET /p?a=${limit}'", "{status: 200, body: {limit: '${ limit }'}}", LIMIT), 4, "did you mean 'limit'?"),
        (check("'GET /p?a=${limit}'", "{status: 200, headers: {X-A: '{{limit}}'}}", LIMIT), 4, "write ${limit}"),
        (check("{method: POST, path: /p, json: {'${limit}': 1}}", more=LIMIT), 3, "filled in values only"),
        (check(more=LIMIT), 5, "nothing uses the parameter 'limit' in parameters of check 'a page'; write ${limit}"),
        (check(more="    parameters: [{id: one}]\n"), 5, "parameters without a value send the same request again"),
        (check(more="    parameters: [{my-id: 1}]\n"), 5, "expected a name of letters, digits and _"),
        (
            check("GET /p?a=${a}", more="    parameters: [{a: '${b}'}]\n"),
            5,
            "'${b}' is not filled inside of a parameter",
        ),
        (check("GET /p?a=${a}", more="    parameters: [{a: {b: 1}}]\n"), 5, "'a' must be a text or a number"),
        (check(expect="{status: '${s}'}", more="    parameters: [{s: 200}, {s: ok}]\n"), 5, '"ok" is not a status'),
        (check("GET /pages#top"), 3, "'#' begins a fragment"),
        (check("GET //pages"), 3, "a path begins with one /"),
        (check("{method: GET, path: '/p?a=1', query: {b: 2}}"), 3, "the path has a query already"),
        (check("{method: GET, path: /p, query: {}}"), 3, "must not be empty"),
        (check("{method: GET, path: /p, headers: {X-A: a, x-a: b}}"), 3, "are the same header"),
        (check("{method: GET, path: /p, headers: {X A: a}}"), 3, "is not the name of a header"),
        (check("{method: GET, path: /p, headers: {X-A: ä}}"), 3, "a character that a header cannot have"),
        (check(expect="{status: 200, body: {}}"), 4, "{} accepts every object"),
        (check(expect="{status: 200, body: {a: [{}]}}"), 4, "{} accepts every object"),
        (check(expect="{status: 200, headers: {}}"), 4, "must not be empty"),
        (check(expect="{status: 200, schema: ''}"), 4, "must not be empty"),
        (check(expect="{status: 200, within_ms: .nan}"), 4, ".nan is not a number of JSON"),
    ],
)
def test_values_that_nothing_uses_and_texts_that_look_like_placeholders(
    tmp_path: Path, text: str, line: int, words: str
) -> None:
    message = refusal(tmp_path, text)
    assert words in message
    assert message.startswith(f"{FILE}:{line}:"), message


def test_texts_with_dollars_and_braces_that_are_none(tmp_path: Path) -> None:
    expect = "{status: 200, headers: {X-A: {matches: 'a{2}$'}}, body: {a: US$ 5, b: '{name} $HOME', c: $.x}}"
    (found,) = loaded(tmp_path, check("GET /p?limit=${limit}", expect, LIMIT))
    assert found.cases[0].steps[0].step.expect.body == {"a": "US$ 5", "b": "{name} $HOME", "c": "$.x"}


@pytest.mark.parametrize(
    "text",
    ["12:30", "12:30:45.5", "010", "-010", "1_000", "0x1F", "0o17", "0b11", ".inf", "-.INF", ".nan", "+1", "1.", ".5", "01.5",
     "1_0.5", "007", "1e400", "9" * 5000],
)  # fmt: skip
def test_numbers_that_json_does_not_have(tmp_path: Path, text: str) -> None:
    message = refusal(tmp_path, check(expect=f"\n      status: 200\n      body: {{opens: {text}}}"))
    assert message.startswith(f"{FILE}:6:21: {text[:40]} is ")
    assert "in quotes for a text" in message


@pytest.mark.parametrize("text", ["True", "FALSE", "~", "Null", ""])
def test_words_that_json_does_not_have(tmp_path: Path, text: str) -> None:
    message = refusal(tmp_path, check(expect=f"\n      status: 200\n      body: {{open: {text}}}"))
    assert message.startswith(f"{FILE}:6:")
    assert "write " in message


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e3", 1000.0), ("-0.5E-1", -0.05), ("0", 0), ("-1", -1), ("true", True), ("null", None), ("yes", "yes"),
     ("2030-01-15", "2030-01-15"), ("2030-01-15T09:30:00Z", "2030-01-15T09:30:00Z"), ("1.2.3", "1.2.3"),
     ("'010'", "010"), ('"12:30"', "12:30"), ("1-2", "1-2")],
)  # fmt: skip
def test_scalars_are_those_of_json(tmp_path: Path, text: str, value: Any) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"a: {text}\n")
    found = read(path, "a.yaml").value["a"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (b"checks:\n  - name: \xff\n", 2, "byte 0xff is not UTF-8"),
        ("checks:\n".encode("utf-16"), 1, "encoded in UTF-16"),
        (b"checks:\n  - name: a\x00b\n", 2, "character U+0000 is not allowed"),
        (b"checks:\n  - name: a\x1bb\n", 2, "character U+001B is not allowed"),
        (b"checks: &a\n  - *a\n", 2, "alias *a stands inside of its own anchor &a"),
        (b"a: &a {b: 1}\nc:\n  <<: [1]\n", 3, "<< merges mappings"),
        (b"checks:\n  - *b\n", 2, "alias *b has no anchor"),
        (b"checks:\n  " + b"[" * 2000 + b"]" * 2000, 2, "more than 100 levels deep"),
        (b"checks:\n" + b"".join(b" " * (n + 1) + b"a:\n" for n in range(2000)), 101, "more than 100 levels deep"),
        (b"checks: " + b"[" * 200_000, 1, "more than 100 levels deep"),
        (b"a: 1\n---\nb: 2\n", 2, "a second document begins"),
        (b"? {a: 1}\n: 2\n", 1, "a key is a mapping or a list"),
        (b"checks:\n  - !!python/object:os.system {}\n", 2, "tag tag:yaml.org,2002:python/object:os.system is not allowed"),
        (b"checks:\n  - name: !!str 1\n", 2, "is not allowed"),
        (b"checks:\n  - ?\n    : a\n", 2, "a key is empty"),
        (b"", 1, "the file is empty"),
        (b"null", 1, "the file is empty"),
        (b"checks:\n\t- a", 2, "this is not YAML"),
    ],
)  # fmt: skip
def test_broken_files_get_a_message_with_the_line(tmp_path: Path, text: bytes, line: int, words: str) -> None:
    message = refusal(tmp_path, text)
    assert message.startswith(f"{FILE}:{line}:"), message
    assert words in message


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("checks:\n  - name: é\ufeff\x00\n", "2:13"),
        ("checks:\n  - name: \tx: 1\n", "2:13"),
        ("checks: [{name: a, name: b}]\n", "1:20"),
        ("checks:\n  - {name: a page, request: GET /a, expect: {stauts: 200, status: 010}}\n", "2:67"),
        ("checks:\n  - {name: a page, request: GET /a, expect: {stauts: 200, status: 200}}\n", "2:46"),
        ("checks:\n  - {name: a page, request: GET /a, expect: {status: [200, no]}}\n", "2:60"),
        ("checks:\n  - {name: a page, request: 'GET /a?b=${c}', expect: {status: 200}}\n", "2:20"),
        ("checks:\n  - {name: a page, request: GET /a, expect: {status: 200, body: {a: {matches: '('}}}}\n", "2:70"),
    ],
)
def test_a_message_names_the_column(tmp_path: Path, text: str, place: str) -> None:
    message = refusal(tmp_path, text)
    assert message.startswith(f"{FILE}:{place}: "), message


def test_the_column_of_a_byte_that_is_not_utf_8(tmp_path: Path) -> None:
    assert refusal(tmp_path, "checks:\n  - name: é".encode() + b"\xe9").startswith(f"{FILE}:2:12: byte 0xe9 ")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "pages.yaml").mkdir()
    with pytest.raises(InvalidChecks, match="the file cannot be read"):
        load(tmp_path / "pages.yaml", FILE)


def test_a_pipe_is_refused_and_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pages.yaml")
    for path in (tmp_path / "pages.yaml", Path(os.devnull)):
        with pytest.raises(InvalidChecks, match="this is a pipe or a device, and a file is expected"):
            load(path, FILE)


def test_aliases_that_expand_without_end(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    message = refusal(tmp_path, "\n".join(lines))
    assert message.startswith(f"{FILE}:6:55: the file has more than 1,000,000 values")


def test_anchors_and_merges(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\nc: [*a]\n'<<': 4\n")
    source = read(path, "a.yaml")
    assert source.value == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": [{"x": 1, "y": 2}], "<<": 4}
    assert (source.line(["b", "x"]), source.line(["b", "y"]), source.line(["c", 0, "z"])) == (3, 4, 5)


def test_a_schema_that_the_contract_lacks(tmp_path: Path) -> None:
    text = check(expect="{status: 200, schema: Helth}")
    message = refusal(tmp_path, text, schemas=("Health", "Problem"))
    assert message == (
        f"{FILE}:4:27: the contract has no schema 'Helth' in expect of check 'a page'; did you mean 'Health'?"
    )
    assert loaded(tmp_path, text)
    assert "there are none" in refusal(tmp_path, text, schemas=())


def test_both_validators_agree(tmp_path: Path) -> None:
    """The compiled validator accepts what jsonschema accepts; jsonschema gives the messages."""
    import json

    from verification.declarative.check_schema import SCHEMA_FILE

    document = json.loads(SCHEMA_FILE.read_text())
    quick, slow = jsonschema_rs.Draft202012Validator(document), Draft202012Validator(document)
    values: list[Any] = [
        None,
        True,
        1,
        1.5,
        "",
        "a",
        "/a",
        "GET /a",
        200,
        [],
        {},
        [1],
        {"a": 1},
        -1,
        1.0,
        {"matches": "a"},
    ]
    for path in (("name",), ("request",), ("expect",), ("expect", "status"), ("expect", "headers"), ("expect", "schema"),
                 ("expect", "schema", "type"), ("expect", "schema", "minItems"), ("expect", "within_ms"), ("parameters",),
                 ("signed_in",), ("request", "query"), ("request", "path"), ("expect", "headers", "X")):  # fmt: skip
        for value in values:
            one: Any = {"name": "a", "request": {"method": "GET", "path": "/a"}, "expect": {"status": 200}}
            part = one
            for step in path[:-1]:
                part = part.setdefault(step, {})
            part[path[-1]] = value
            whole = {"checks": [one]}
            assert quick.is_valid(whole) == slow.is_valid(whole), (path, value)
