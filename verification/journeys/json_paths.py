"""JSONPath (RFC 9535) in expectations; the library is imported only by files that use it."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from functools import lru_cache
from typing import Any

from jsonpath import JSONPath, JSONPathEnvironment, JSONPathError
from jsonpath.function_extensions import Search

from verification.journeys import patterns


class _Search(Search):
    """RFC 9535's ``search()`` with a time limit."""

    whole = False

    def __call__(self, value: object, pattern: object) -> bool:
        """Return whether the value matches. Raises PatternTooSlow."""
        if not isinstance(value, str) or not isinstance(pattern, str):
            return False
        engine = self.check_cache(pattern)
        return engine is not None and patterns.search(engine, value, pattern, whole=self.whole)


class _Match(_Search):
    """RFC 9535's ``match()`` with a time limit."""

    whole = True


_ENVIRONMENT = JSONPathEnvironment(strict=True)
_ENVIRONMENT.function_extensions |= {"match": _Match(), "search": _Search()}


def problem_of(path: str) -> str | None:
    """Return why a text is not a JSONPath, None if it is one."""
    try:
        _compiled(path)
    except JSONPathError as error:
        return str(error).partition("\n")[0].strip()
    return None


def select(path: str, document: Any) -> list[tuple[str, Any]]:
    """Return the values that a JSONPath selects, each with its own path. Raises PatternTooSlow."""
    return [(match.path, match.obj) for match in _compiled(path).finditer(document)]


@lru_cache(maxsize=1024)
def _compiled(path: str) -> JSONPath:
    found = _ENVIRONMENT.compile(path)
    if not isinstance(found, JSONPath):
        raise JSONPathError("a union of several paths is not allowed")
    return found


def without(paths: Iterable[str], document: Any) -> tuple[Any, set[str]]:
    """Return a copy of a JSON value without the parts that these JSONPaths select, and those JSONPaths that selected something.

    Raises PatternTooSlow.
    """
    copy, selected = deepcopy(document), set()
    for path in paths:
        found = sorted((match.parts for match in _compiled(path).finditer(copy)), key=_order, reverse=True)
        if found:
            selected.add(path)
        for parts in found:
            if not parts:
                return None, {path}
            inner = copy
            for part in parts[:-1]:
                inner = inner[part]
            del inner[parts[-1]]
    return copy, selected


def _order(parts: tuple[int | str, ...]) -> list[tuple[str, int]]:
    """Return a key that sorts later elements of an array, and deeper parts, behind the others."""
    return [("", part) if isinstance(part, int) else (part, 0) for part in parts]
