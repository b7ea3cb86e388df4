"""Compares an answer with an expectation, and captures values from the answer.

In ``expect.body`` an object must have the named fields and may have others; an array must have the same length. A field
may be an operator, an object with one key: ``{contains: …}`` (an array that has such an element, a text that has this
part), ``{matches: …}`` (a regular expression), ``{type: …}``, ``{length: n}``, ``{greater: n}``, ``{less: n}`` (of two
numbers, two times or two dates), ``{absent: true}``, ``{equals: …}`` (exactly this). A body that is not JSON is a text: ``{contains: …}`` and ``{matches:
…}`` apply to it. ``expect.json`` maps a JSONPath to the same: each value that it selects must fit, and it must select
at least one, unless the value must be absent.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Protocol

from verification.http.json_body import json_value
from verification.journeys.model import Expectation, Health
from verification.journeys.patterns import PatternTooSlow, finds
from verification.redaction.cookies import expected_cookie, without_values
from verification.redaction.excerpt import excerpt
from verification.redaction.redactor import is_secret_name

OPERATORS = ("absent", "contains", "equals", "greater", "length", "less", "matches", "type")
TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_LONGEST = 120
NOT_JSON = "the body is not JSON"
_ABSENT = object()
# RFC 9535's singular queries without its rarer spellings: $, then .name, ['name'] or [0].
_PATH = re.compile(r"""\.([A-Za-z_][\w-]*)|\['([^']+)'\]|\["([^"]+)"\]|\[(-?\d+)\]""")
_HEADER = re.compile(r"header ([A-Za-z0-9_-]+)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


class Headers(Protocol):
    """Headers of an answer; names are compared without case."""

    def get(self, name: str, default: None = None, /) -> str | None:
        """Return the value of a header."""


class Answer(Protocol):
    """An answer in the form that every client here returns."""

    @property
    def status(self) -> int:
        """Return the status."""

    @property
    def headers(self) -> Headers:
        """Return the headers."""

    @property
    def body(self) -> bytes:
        """Return the body."""


class NotCaptured(ValueError):
    """The answer lacks a value that later steps need; the text names the value, and quotes nothing of the answer."""


def is_query(query: str) -> bool:
    """Return whether the text names a place in an answer: ``$.items[0].id`` or ``header NAME``."""
    if _HEADER.fullmatch(query):
        return True
    return query.startswith("$") and _PATH.sub("", query[1:]) == ""


def find(query: str, answer: Answer) -> Any:
    """Return the value at ``query`` of an answer. Raises NotCaptured."""
    if (header := _HEADER.fullmatch(query)) is not None:
        value = answer.headers.get(header[1])
        if value is None:
            raise NotCaptured(f"the answer has no header {header[1]}")
        return value
    try:
        document = json_value(answer.body)
    except ValueError:
        raise NotCaptured("the body is not JSON") from None
    return value_at(query, document)


def value_at(query: str, document: Any) -> Any:
    """Return the value at a path such as ``$.items[0].id`` of a JSON value. Raises NotCaptured."""
    value = document
    for dotted, single, double, index in _PATH.findall(query[1:]):
        try:
            value = (
                value[int(index)] if index and isinstance(value, list) else _field(value, dotted or single or double)
            )
        except (LookupError, TypeError):
            raise NotCaptured(f"the body has no {query}") from None
    return value


def _field(value: Any, name: str) -> Any:
    if not isinstance(value, Mapping):
        raise TypeError
    return value[name]


def capture(wanted: Mapping[str, str], answer: Answer) -> dict[str, Any]:
    """Return the captured values by name. Raises NotCaptured if one is missing, null, an object or an array."""
    return {name: _single(query, find(query, answer)) for name, query in wanted.items()}


def capturable(wanted: Mapping[str, str], answer: Answer) -> dict[str, Any]:
    """Return those of the values that an unexpected answer has, so that `undo` can remove what the request wrote.

    An answer that says that the request failed (a status other than 2xx) has none.
    """
    found: dict[str, Any] = {}
    for name, query in wanted.items() if 200 <= answer.status < 300 else ():
        with suppress(NotCaptured):
            found |= capture({name: query}, answer)
    return found


def captured_from(wanted: Mapping[str, str], document: Any) -> dict[str, Any]:
    """Return the values at paths of a JSON value, by name. Raises NotCaptured as ``capture`` does."""
    return {name: _single(query, value_at(query, document)) for name, query in wanted.items()}


def _single(query: str, value: Any) -> Any:
    if value is None or isinstance(value, dict | list):
        raise NotCaptured(f"{query} is not a text or a number")
    return value


def version_of(health: Health, answer: Answer) -> str | None:
    """Return the version that an answer to the health check names; None if it names none, or no text or number."""
    if health.version is None:
        return None
    try:
        version = find(health.version, answer)
    except NotCaptured:
        return None
    return str(version) if isinstance(version, str) or _number(version) else None


def problems(expect: Expectation, answer: Answer, *, quote: bool = True) -> Iterator[str]:
    """Yield the differences from the expectation, each as a part of a sentence; the placeholders of ``expect`` are filled already.

    The value of a field with a secret name is never shown. Without ``quote`` no value is shown: the text then contains
    nothing of the answer but its status, and is the same for each run of a journey. A pattern that takes too long is the last problem.
    """
    try:
        yield from _problems(expect, answer, quote=quote)
    except PatternTooSlow as slow:
        yield str(slow) if quote else slow.without_answer


def _problems(expect: Expectation, answer: Answer, *, quote: bool) -> Iterator[str]:
    if answer.status not in expect.statuses:
        yield f"status {answer.status}, expected {' or '.join(map(str, expect.statuses))}"
        return
    for name, wanted in expect.headers.items():
        yield from (
            one.text if quote else one.place_only for one in _header_mismatches(name, wanted, answer.headers.get(name))
        )
    if not expect.has_body and not expect.json:
        return
    try:
        value = json_value(answer.body)
    except ValueError:
        if not expect.json and _expects_text(expect.body):
            value = answer.body.decode(errors="replace")
        else:
            yield NOT_JSON
            return
    found = [*_mismatches(expect.body, value, "$")] if expect.has_body else []
    for path, wanted in expect.json.items():
        found += _selected_mismatches(path, wanted, value)
    yield from (one.text if quote else one.place_only for one in found)


def _expects_text(wanted: Any) -> bool:
    """Return whether this can be expected of a body that is not JSON: a text, or an operator on a text."""
    return isinstance(wanted, str) or operator_of(wanted) in ("contains", "equals", "length", "matches")


def _selected_mismatches(path: str, wanted: Any, document: Any) -> Iterator[_Mismatch]:
    """Yield the mismatches of the values that a JSONPath selects: each must be as wanted, and there must be one."""
    from verification.journeys.json_paths import select  # its library takes a tenth of a second to import

    try:
        selected = select(path, document)
    except PatternTooSlow as slow:  # of match() or search() in the path
        raise slow.at(path) from None
    if not selected:
        yield from _mismatches(wanted, _ABSENT, path)
    for where, value in selected:
        found = _mismatches(wanted, value, where)
        secret = any(is_secret_name(name) for name in re.findall(r"'([^']*)'", where))
        yield from _all_hidden(found) if secret else found


def header_problems(name: str, wanted: Any, got: str | None) -> Iterator[str]:
    """Yield what is wrong with a header: ``wanted`` is its value, ``{matches: …}``, or None if it must be absent.

    Raises PatternTooSlow.
    """
    yield from (one.text for one in _header_mismatches(name, wanted, got))


def body_problems(wanted: Any, got: Any, where: str = "$") -> Iterator[str]:
    """Yield what is wrong with a JSON value. Raises PatternTooSlow."""
    yield from (one.text for one in _mismatches(wanted, got, where))


@dataclass(frozen=True)
class _Mismatch:
    """A value that differs from the expected one: its place, and the function that writes the whole message, which quotes it.

    ``contains`` needs no messages of the elements that differ, and each quoted value is searched for all known secrets.
    """

    where: str
    write: Callable[[], str]
    missing: bool = False

    @property
    def text(self) -> str:
        """Return the whole message."""
        return self.write()

    @property
    def place_only(self) -> str:
        """Return the message without the value and the expected one."""
        return f"{self.where} is missing" if self.missing else f"{self.where} is not as expected"


def _header_mismatches(name: str, wanted: Any, got: str | None) -> Iterator[_Mismatch]:
    found = _any_header_mismatches(name, wanted, got)
    if name.lower() == "set-cookie":
        shown = "missing" if got is None else without_values(got)
        text = f"header {name} is {shown}, expected {expected_cookie(wanted)}"
        found = (replace(one, write=lambda: text) for one in found)
    elif is_secret_name(name):
        found = map(_hidden, found)
    yield from found


def _any_header_mismatches(name: str, wanted: Any, got: str | None) -> Iterator[_Mismatch]:
    where = f"header {name}"
    if wanted is None:
        differs, expected = got is not None, "none"
    elif isinstance(wanted, Mapping):
        differs = got is None or not _holds_at(where, "matches", wanted["matches"], got)
        expected = f"what matches {wanted['matches']}"
    else:
        differs, expected = got != wanted, str(wanted)
    if differs:
        yield _Mismatch(
            where, lambda: f"{where} is {'missing' if got is None else show(got)}, expected {expected}", got is None
        )


def _mismatches(wanted: Any, got: Any, where: str) -> Iterator[_Mismatch]:
    operator = operator_of(wanted)
    if operator is not None:
        yield from _operator_mismatches(operator, wanted[operator], got, where)
    elif got is _ABSENT:
        yield _Mismatch(where, lambda: f"{where} is missing, expected {show(wanted)}", missing=True)
    elif isinstance(wanted, Mapping) and isinstance(got, Mapping):
        for key, inner in wanted.items():
            found = _mismatches(inner, got.get(key, _ABSENT), f"{where}.{key}")
            if is_secret_name(key):
                found = _all_hidden(found)
            yield from found if key in got else (_with_hint(one, key, got) for one in found)
    elif isinstance(wanted, list) and isinstance(got, list):
        if len(wanted) != len(got):
            yield _Mismatch(where, lambda: f"{where} has {len(got)} elements, expected {len(wanted)}")
            return
        for number, (one, other) in enumerate(zip(wanted, got, strict=True)):
            yield from _mismatches(one, other, f"{where}[{number}]")
    elif not _same(wanted, got):
        yield _Mismatch(
            where, lambda: f"{where} is {_shown(got)}, expected {show(wanted)}{_near_operator(wanted, got)}"
        )


# The words of other tools for the operators.
_OTHER_WORDS = {
    **dict.fromkeys(("eq", "equal", "is"), "equals"), **dict.fromkeys(("regex", "pattern", "match"), "matches"),
    **dict.fromkeys(("gt", "greater_than", "min"), "greater"), **dict.fromkeys(("lt", "less_than", "max"), "less"),
    **dict.fromkeys(("size", "len", "count"), "length"), **dict.fromkeys(("has", "include", "includes", "contain"), "contains"),
}  # fmt: skip


def _near_operator(wanted: Any, got: Any) -> str:
    """Return a hint if an object was expected of a value that is none, and its only key is nearly an operator."""
    if not isinstance(wanted, Mapping) or len(wanted) != 1 or isinstance(got, Mapping):
        return ""
    (key,) = wanted
    return f"; did you mean {_OTHER_WORDS[key]!r}?" if key in _OTHER_WORDS else _near(str(key), OPERATORS)


def _with_hint(found: _Mismatch, key: str, got: Mapping[str, Any]) -> _Mismatch:
    """Return the mismatch of a missing field with the name that was probably meant."""
    return replace(found, write=lambda: found.text + _near(key, got))


def _near(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def _hidden(found: _Mismatch) -> _Mismatch:
    """Return the mismatch of a field with a secret name: neither the value nor the expected one is shown."""
    text = f"{found.where} is {'missing' if found.missing else 'not what was expected'} (hidden)"
    return _Mismatch(found.where, lambda: text, found.missing)


def _all_hidden(found: Iterable[_Mismatch]) -> Iterator[_Mismatch]:
    try:
        yield from map(_hidden, found)
    except PatternTooSlow as slow:
        raise slow.hidden() from None


def operator_of(wanted: Any) -> str | None:
    """Return the operator that an object with one key is, None for any other value."""
    if isinstance(wanted, Mapping) and len(wanted) == 1:
        (key,) = wanted
        return key if key in OPERATORS else None
    return None


def _operator_mismatches(operator: str, value: Any, got: Any, where: str) -> Iterator[_Mismatch]:
    if operator == "absent":
        if (got is _ABSENT) is not value:
            text = f"{where} is {'missing' if got is _ABSENT else 'there'}, expected it {'not ' if value else ''}to be there"
            yield _Mismatch(where, lambda: text, got is _ABSENT)
        return
    if got is _ABSENT:
        yield _Mismatch(where, lambda: f"{where} is missing, expected {operator} {show(value)}", missing=True)
    elif not _holds_at(where, operator, value, got):
        yield _Mismatch(where, lambda: f"{where} is {_shown(got)}, expected {operator} {show(value)}")


def _holds_at(where: str, operator: str, value: Any, got: Any) -> bool:
    try:
        return _holds(operator, value, got)
    except PatternTooSlow as slow:
        raise slow.at(where) from None


def _holds(operator: str, value: Any, got: Any) -> bool:
    match operator:
        case "contains":
            if isinstance(got, str):  # every text contains an empty one, which a placeholder may have become
                return isinstance(value, str) and value != "" and value in got
            return isinstance(got, list) and any(not any(_mismatches(value, one, "")) for one in got)
        case "matches":
            # An empty pattern, which a placeholder may have become, finds nothing.
            return isinstance(got, str) and value != "" and finds(value, got)
        case "type":
            return _is_type(value, got)
        case "length":
            return isinstance(got, str | list | dict) and len(got) == value
        case "greater":
            return _is_greater(got, value)
        case "less":
            return _is_greater(value, got)
    return _same(value, got)


def _is_type(name: str, got: Any) -> bool:
    match name:
        case "integer":
            return (isinstance(got, int) and not isinstance(got, bool)) or (isinstance(got, float) and got.is_integer())
        case "number":
            return _number(got)
        case "null":
            return got is None
    return isinstance(got, {"array": list, "boolean": bool, "object": dict, "string": str}[name])


def is_ordered(value: Any) -> bool:
    """Return whether ``greater`` and ``less`` can compare it: a number, a time with its offset from UTC, or a date."""
    return _number(value) or (isinstance(value, str) and _moment(value) is not None)


def _is_greater(one: Any, other: Any) -> bool:
    """Return whether ``one`` is greater or later; False if the two are not of the same kind."""
    if isinstance(one, str) and isinstance(other, str):
        first, second = _moment(one), _moment(other)
        return type(first) is type(second) and first is not None and bool(first > second)  # type: ignore[operator]  # of one type
    return _number(one) and _number(other) and one > other


def _moment(text: str) -> datetime | date | None:
    """Return the time or the date that a text is, as RFC 3339 and JSON Schema write it; None for any other text."""
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
        return datetime.fromisoformat(text.upper()) if _TIME.fullmatch(text) else None
    except ValueError:
        return None


def _number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _same(wanted: Any, got: Any) -> bool:
    if isinstance(wanted, bool) != isinstance(got, bool):
        return False
    if isinstance(wanted, list) and isinstance(got, list):
        return len(wanted) == len(got) and all(map(_same, wanted, got))
    if isinstance(wanted, Mapping) and isinstance(got, Mapping):
        return wanted.keys() == got.keys() and all(_same(value, got[key]) for key, value in wanted.items())
    return (type(wanted) is type(got) or (_number(wanted) and _number(got))) and bool(wanted == got)


def _shown(value: Any) -> str:
    """Return a value of an answer for a message; of an object only the names, because a field can hold a secret."""
    if isinstance(value, Mapping):
        return excerpt(f"an object with {', '.join(map(str, value)) or 'no fields'}", _LONGEST)
    return f"an array of {len(value)}" if isinstance(value, list) else show(value)


def show(value: Any) -> str:
    """Return a JSON value for a message, without secrets, cut to one short line."""
    return excerpt(json.dumps(value, ensure_ascii=False, default=str), _LONGEST)
