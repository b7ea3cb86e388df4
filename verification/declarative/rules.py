"""Finds mistakes in checks that a schema cannot express: each is a path inside the check, and a text with a hint after a semicolon."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from verification.declarative import inline_schemas, placeholder_rules
from verification.declarative.exemptions import ADVISORY, mistakes_in_skip
from verification.declarative.placeholder_rules import Text, nearest
from verification.declarative.source import Step
from verification.declarative.vocabulary import BODIES, LONGEST_S, until_of
from verification.journeys import patterns
from verification.journeys.expectations import OPERATORS, TYPES, is_ordered, is_query
from verification.journeys.model import SAFE_METHODS, Request
from verification.journeys.placeholders import is_builtin

Mistake = tuple[tuple[Step, ...], str]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_ACCOUNT = ("account.email", "account.password")
_LONGEST = 80
_OF_ONE_REQUEST = ("request", "expect", "until")


def names(checks: Sequence[Mapping[str, Any]]) -> Iterator[Mistake]:
    """Yield the mistakes in the names of a file's checks."""
    often = Counter(check["name"] for check in checks)
    for number, check in enumerate(checks):
        name, path = check["name"], ("checks", number, "name")
        if often[name] > 1:
            yield path, f"{often[name]} checks are named {name!r}"
        if name.isidentifier() and name.lower().startswith(("setup", "teardown", "pytest")):
            yield path, f"the name {name!r} means something to pytest; take another"


def steps_of(check: Mapping[str, Any]) -> list[tuple[tuple[Step, ...], Mapping[str, Any]]]:
    """Return the steps of a check, ``undo`` included, each with its path; the check itself if it is one request."""
    if "steps" not in check:
        return [((), check)]
    return [((part, number), one) for part in ("steps", "undo") for number, one in enumerate(check.get(part, ()))]


def texts_of(check: Mapping[str, Any]) -> list[Text]:
    """Return the texts of a check's requests and expectations that can hold a placeholder."""
    asked = {key: check[key] for key in ("request", "expect", "steps", "undo") if key in check}
    return placeholder_rules.texts(asked, ())


def mistakes(check: Mapping[str, Any], sets: Sequence[Mapping[str, Any]], texts: Sequence[Text]) -> Iterator[Mistake]:
    """Yield the mistakes in a check, whose parameters are ``sets``; ``texts`` are those of ``texts_of``."""
    wrong = list(_shape(check))
    if wrong:
        yield from wrong
        return
    texts = placeholder_rules.texts(
        {key: check[key] for key in (*_OF_ONE_REQUEST, "steps", "undo") if key in check}, ()
    )
    steps = steps_of(check)
    found = [*_placeholders(check, texts, sets), *_sets(sets, texts)]
    for path, step in steps:
        inner = [*in_request(step["request"]), *in_expectation(step["expect"]), *_until(step), *_capture(step)]
        found += [((*path, *at), what) for at, what in inner]
    yield from found or _unused(check, sets, texts)


def mistakes_in_filled(request: Request, parameters: Mapping[str, Any]) -> Iterator[str]:
    """Yield the mistakes in a request that show only when its parameters are filled in."""
    path: Any = request.path
    if not isinstance(path, str) or not path.startswith(("/", "${")):
        yield f"{json.dumps(path)} is not a path; a path begins with /"
    elif parameters and (what := placeholder_rules.in_path(path)) is not None:
        yield what
    for name, value in request.headers.items():
        text: Any = value
        if isinstance(text, str) and not (text.isascii() and text.isprintable()):
            yield f"the value of {name} has a character that a header cannot have"


def mistakes_in_filled_expectation(written: Mapping[str, Any], filled: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yield the mistakes in an expectation that show only when its parameters are filled in; paths begin with ``expect``."""
    if filled != written:
        yield from in_expectation({key: filled[key] for key in ("headers", "body", "json") if key in filled})


def exemption(check: Mapping[str, Any], day: date) -> Iterator[Mistake]:
    """Yield the mistakes in ``severity`` and ``skip`` of a check whose file is read on this day."""
    skip = check.get("skip")
    if skip is None:
        return
    for key, what in mistakes_in_skip(skip["reason"], skip["until"], day):
        yield ("skip", key), what
    if check.get("severity") == ADVISORY:
        yield ("skip",), "an advisory check fails no gate, so that it needs no skip; delete one of the two"


def _shape(check: Mapping[str, Any]) -> Iterator[Mistake]:
    if "steps" in check:
        for key in _OF_ONE_REQUEST:
            if key in check:
                yield (key,), f"a check has {key} or steps, not both"
    else:
        for key in ("request", "expect"):
            if key not in check:
                yield (), f"{key!r} is missing"
        if "undo" in check:
            yield ("undo",), "undo belongs to a check with steps"
    if "signed_in" in check and "as" in check:
        yield ("as",), "a check has signed_in or as, not both"
    for path, step in steps_of(check):
        if "account" in step and not check.get("signed_in") and "as" not in check:
            yield (*path, "account"), "account chooses the user of a session; write signed_in: true or as in the check"
    if "differ" in check and check.get("on") != "both":
        yield ("differ",), "differ has no effect without on: both"
    if check.get("on") == "both" and "steps" in check:
        yield ("on",), "on: both is for one request; write on: each for steps"
    for number, path in enumerate(check.get("differ", ())):
        yield from _json_path(path, ("differ", number))
        yield from _whole(path, ("differ", number))
    twice = [name for name, count in Counter(step.get("name") for _, step in steps_of(check)).items() if count > 1]
    if twice:
        yield ("steps",), f"several steps are named {twice[0]!r}"


# -- parameters, captured values and their placeholders --------------------------------------------------------------------


def _names(sets: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the names of the parameters; ``id`` is the name of a set in reports."""
    return set(sets[0]) - {"id"} if sets else set()


def _sets(sets: Sequence[Mapping[str, Any]], texts: Sequence[Text]) -> Iterator[Mistake]:
    names = _names(sets)
    parts = {name for text in texts if _is_part(text) for name in text.names}
    for number, one in enumerate(sets):
        at = ("parameters", number)
        if set(one) - {"id"} != names:
            other = ", ".join(sorted((set(one) - {"id"}) ^ names))
            yield at, f"parameters {number + 1} and 1 do not have the same names: {other}"
        for text in placeholder_rules.texts(one, at):
            if text.names or text.is_key:
                yield text.path, f"{text.text!r} is not filled inside of a parameter; write its value"
        for name in sorted(parts & one.keys()):
            if isinstance(one[name], dict | list):
                yield (*at, name), f"{name!r} must be a text or a number: it becomes a part of a text"
    if sets and not names:
        yield ("parameters", 0), "parameters without a value send the same request again; name a value beside id"


def _is_part(text: Text) -> bool:
    """Return whether a placeholder in it becomes a part of a text: of a path, a query, a header, or beside other letters."""
    alone = len(text.names) == 1 and text.text == f"${{{text.names[0]}}}"
    return not alone or not {"query", "headers", "form", "multipart"}.isdisjoint(map(str, text.path[:4]))


def _unused(check: Mapping[str, Any], sets: Sequence[Mapping[str, Any]], texts: Sequence[Text]) -> Iterator[Mistake]:
    used = {name for text in texts for name in text.names}
    for name in sorted(_names(sets) - used):
        at: tuple[Step, ...] = ("parameters", 0, name) if isinstance(check["parameters"], list) else ("parameters",)
        yield at, f"nothing uses the parameter {name!r}; write ${{{name}}}, or delete it"
    for path, step in steps_of(check):
        for name in step.get("capture", ()):
            if name not in used:
                yield (
                    (*path, "capture", name),
                    f"nothing uses the captured value {name!r}; write ${{{name}}}, or delete it",
                )


def _placeholders(
    check: Mapping[str, Any], texts: Sequence[Text], sets: Sequence[Mapping[str, Any]]
) -> Iterator[Mistake]:
    parameters, account = _names(sets), bool(check.get("signed_in")) or "as" in check
    known = set(parameters) | (set(_ACCOUNT) if account else set())
    hint = (
        "; give it in parameters" if "steps" not in check else "; give it in parameters, or capture it in a step before"
    )
    for path, step in steps_of(check):
        own = [
            text for text in texts if text.path[: len(path)] == path and text.path[len(path)] in ("request", "expect")
        ]
        yield from placeholder_rules.mistakes(own, known, hint)
        for name in step.get("capture", ()):
            if is_builtin(name) or name in parameters:
                yield (*path, "capture", name), f"{name!r} cannot be captured; the name has a meaning of its own here"
            known.add(name)
        yield from _status(step["expect"]["status"], (*path, "expect", "status"), sets)


def _status(status: Any, path: tuple[Step, ...], sets: Sequence[Mapping[str, Any]]) -> Iterator[Mistake]:
    if not isinstance(status, str):
        return
    name = status[2:-1]
    if name not in _names(sets):
        yield path, f"{status} is not a parameter; a status is a number or a parameter"
    for number, one in enumerate(sets):
        value = one.get(name, 200)
        if not isinstance(value, int) or isinstance(value, bool) or not 100 <= value <= 599:
            yield ("parameters", number, name), f"{json.dumps(value)} is not a status; expected 100 to 599"


# -- requests ---------------------------------------------------------------------------------------------------------------


def in_request(request: Any) -> Iterator[Mistake]:
    """Yield the mistakes in a request; paths begin with ``request``."""
    if isinstance(request, str):
        request = {"path": request.partition(" ")[2]}
    path = request["path"]
    if (what := placeholder_rules.in_path(path)) is not None:
        yield ("request",), what
    if "?" in path and "query" in request:
        yield ("request", "query"), "the path has a query already; write all of it in one place"
    bodies = [key for key in BODIES if key in request]
    if len(bodies) > 1:
        yield ("request", bodies[-1]), f"a request has {' or '.join(sorted(bodies, reverse=True))}, not both"
    yield from _header_names(request.get("headers", {}), ("request", "headers"))


def _header_names(headers: Mapping[str, Any], path: tuple[Step, ...]) -> Iterator[Mistake]:
    seen: dict[str, str] = {}
    for name in headers:
        if not _TOKEN.fullmatch(name):
            yield (*path, name), f"{name!r} is not the name of a header"
        if (other := seen.setdefault(name.lower(), name)) != name:
            yield (*path, name), f"{name} and {other} are the same header; one of them would be lost"


def _until(step: Mapping[str, Any]) -> Iterator[Mistake]:
    until = until_of(step.get("until"))
    if until is None:
        return
    request = step["request"]
    method = request.partition(" ")[0] if isinstance(request, str) else request["method"]
    if method not in SAFE_METHODS:
        yield ("until",), f"{method} is not repeated, because it changes something; poll with a request that reads"
    if until.within_s > LONGEST_S:
        yield ("until", "within"), f"the longest time is {LONGEST_S / 60:.0f}m"
    if until.every_s >= until.within_s:
        yield ("until", "every"), "the pause must be shorter than within"


def _capture(step: Mapping[str, Any]) -> Iterator[Mistake]:
    for name, query in step.get("capture", {}).items():
        if not is_query(query):
            yield (
                ("capture", name),
                f"{query!r} is not a place in an answer; write $.field, $.items[0].id or header NAME",
            )


# -- expectations -----------------------------------------------------------------------------------------------------------


def in_expectation(expect: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yield the mistakes in an expectation; paths begin with ``expect``."""
    yield from _header_names(expect.get("headers", {}), ("expect", "headers"))
    for name, wanted in expect.get("headers", {}).items():
        if isinstance(wanted, dict):
            yield from _pattern(wanted["matches"], ("expect", "headers", name))
    if "body" in expect:
        yield from _wanted(expect["body"], ("expect", "body"))
    for path, wanted in expect.get("json", {}).items():
        yield from _json_path(path, ("expect", "json", path))
        yield from _wanted(wanted, ("expect", "json", path))
    schema = expect.get("schema")
    if isinstance(schema, dict):
        for inner, what in inline_schemas.mistakes(schema):
            yield ("expect", "schema", *inner), what


def _json_path(path: str, at: tuple[Step, ...]) -> Iterator[Mistake]:
    from verification.journeys.json_paths import problem_of  # its library takes a tenth of a second to import

    if not path.startswith("$"):
        yield at, f"{path!r} is not a JSONPath; it begins with $, as in $.{path.lstrip('.')}"
    elif (problem := problem_of(path)) is not None:
        yield at, f"{path!r} is not a JSONPath; {problem}"


def _whole(path: str, at: tuple[Step, ...]) -> Iterator[Mistake]:
    """Yield a JSONPath that selects every part of an answer: then nothing would be compared."""
    from verification.journeys.json_paths import problem_of, without

    if problem_of(path) is None and without([path], {"\0": 0})[0] in (None, {}):
        yield at, f"{path!r} is all of the answer, so that nothing would be compared; name the fields that may differ"


def _pattern(pattern: Any, at: tuple[Step, ...]) -> Iterator[Mistake]:
    if not isinstance(pattern, str) or not pattern:
        yield at, f"matches has {json.dumps(pattern)}; expected a regular expression"
        return
    if (what := patterns.mistake(pattern)) is not None:
        yield at, what


def _wanted(wanted: Any, path: tuple[Step, ...]) -> Iterator[Mistake]:
    if isinstance(wanted, list):
        for number, inner in enumerate(wanted):
            yield from _wanted(inner, (*path, number))
    if not isinstance(wanted, dict):
        return
    if not wanted:
        yield path, "{} accepts every object; name what must be in it, or write {equals: {}} for an empty one"
    if len(wanted) > 1 and wanted.keys() <= set(OPERATORS):
        yield (
            path,
            f"{' and '.join(wanted)} stand in one object; use one, or {{equals: …}} if the answer has these fields",
        )
    elif len(wanted) == 1 and (operator := next(iter(wanted))) in OPERATORS:
        yield from _operator(operator, wanted[operator], (*path, operator))
    else:
        for key, inner in wanted.items():
            yield from _wanted(inner, (*path, key))


def _operator(operator: str, value: Any, path: tuple[Step, ...]) -> Iterator[Mistake]:
    if isinstance(value, str) and "${" in value and operator not in ("matches", "type"):
        return
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match operator:
        case "matches":
            yield from _pattern(value, path)
        case "type" if value not in TYPES:
            yield path, f"{json.dumps(value)} is not a type; expected {', '.join(TYPES)}{nearest(str(value), TYPES)}"
        case "length" if not number or value < 0 or value != int(value):
            yield path, f"length has {json.dumps(value)}; expected a whole number"
        case "greater" | "less" if not is_ordered(value):
            yield path, f"{operator} has {json.dumps(value)}; expected a number, a time such as ${{now-1h}}, or a date"
        case "absent" if not isinstance(value, bool):
            yield path, f"absent has {json.dumps(value)}; expected true"
        case "contains":
            if value == "":
                yield path, "every text contains an empty one; write a text"
            yield from _wanted(value, path)
