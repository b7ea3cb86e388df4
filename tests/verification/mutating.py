"""Mutants of a valid file: one letter changed, one key moved, one value of another type; and answers with one thing wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from verification.declarative.source import parse

LETTERS = st.characters(min_codepoint=ord("a"), max_codepoint=ord("z")) | st.sampled_from("AZ_-.,:$%{}'\"")
Mutate = Callable[[st.DataObject, str, Collection[str]], str | None]
"""Returns a mutant of a text, None for no mutant; the third argument has words that stay as they are."""


def hunt(
    check: Callable[[str, int], None], mutate: Mutate, originals: list[str], kept: Collection[str], most: int
) -> None:
    """Call ``check`` with mutants and the numbers of their originals: the same mutants in each run.

    A mutant that is equivalent in a way not known yet must not fail somebody else's change.
    """

    @settings(
        max_examples=most, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
    )
    @given(number=st.sampled_from(range(len(originals))), data=st.data())
    def each(number: int, data: st.DataObject) -> None:
        mutant = mutate(data, originals[number], kept)
        if mutant is not None:
            check(mutant, number)

    each()


def change_a_letter(data: st.DataObject, text: str, kept: Collection[str]) -> str:
    """Replace, delete, insert or swap one letter."""
    inside = {
        place
        for word in kept
        for start in range(len(text))
        if text.startswith(word, start)
        for place in range(start - 1, start + len(word) + 1)
    }
    places = [n for n, one in enumerate(text[:-1]) if not one.isspace() and not one.isdigit() and n not in inside]
    place = data.draw(st.sampled_from(places))
    how = data.draw(st.sampled_from(["replace", "delete", "insert", "swap"]))
    letter = data.draw(LETTERS)
    new = {"replace": letter, "delete": "", "insert": letter + text[place], "swap": text[place + 1] + text[place]}[how]
    return text[:place] + new + text[place + 1 + (how == "swap") :]


def move_a_key(data: st.DataObject, text: str, kept: Collection[str]) -> str | None:
    """Move a key to another object; None if that object has the key, because a repeated key is refused.

    A rule of a JSON Schema is moved to where a wrong indentation puts it: nobody can tell a rule of one property that was
    written into another property from one that was meant for it.
    """
    whole = document(text)
    objects = [path for path, value in parts(whole) if isinstance(value, dict)]
    source = data.draw(st.sampled_from([path for path in objects if set(at(whole, path)) - set(kept)]))
    key = data.draw(st.sampled_from(sorted(set(at(whole, source)) - set(kept))))
    targets = [path for path in objects if path[: len(source) + 1] != (*source, key)]
    if "schema" in source:
        targets = [path for path in targets if source[: len(path)] == path or path[: len(source)] == source]
    target = data.draw(st.sampled_from(targets))
    if key in at(whole, target):
        return None
    moved = at(whole, source).pop(key)
    at(whole, target)[key] = moved
    return json.dumps(whole)


def swap_a_type(data: st.DataObject, text: str, kept: Collection[str]) -> str:
    """Replace a value by one of another type."""
    del kept
    whole = document(text)
    path, value = data.draw(st.sampled_from([one for one in parts(whole) if one[0]]))
    others = [None, 0, 1, "", "x", True, False, [], [value], {}, {"a": value}, str(value), json.dumps(value)]
    if isinstance(value, list | dict) and value:
        others.append(next(iter(value.values() if isinstance(value, dict) else value)))
    other = data.draw(st.sampled_from([one for one in others if type(one) is not type(value)]))
    at(whole, path[:-1])[path[-1]] = other
    return json.dumps(whole)


MUTATIONS: dict[str, Mutate] = {"letter": change_a_letter, "key": move_a_key, "type": swap_a_type}


def document(text: str) -> Any:
    """Return a copy of the JSON value of a YAML text."""
    return json.loads(json.dumps(parse(text.encode(), "original.yaml").value))


def parts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield each part of a JSON value with its path."""
    yield path, value
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ()):
        yield from parts(inner, (*path, key))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    """Return the part of a JSON value at a path."""
    for step in path:
        value = value[step]
    return value


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
