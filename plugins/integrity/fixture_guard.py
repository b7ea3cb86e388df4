"""Detect fixtures that cannot work together, before anything is touched instead of in every check of a deployment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from plugins.integrity.hook_guard import Problem, origin


def clashes(config: pytest.Config, items: Sequence[pytest.Item]) -> list[Problem]:
    """Return each fixture that needs one of a narrower scope, such as a plugin's that uses its own ``base_url`` for the session.

    pytest itself reports this only when a check is set up.
    """
    found: dict[int, Problem] = {}
    for item in items:
        info = getattr(item, "_fixtureinfo", None)
        known: Mapping[str, Sequence[Any]] = getattr(info, "name2fixturedefs", {})
        for name, definitions in known.items():
            for definition in definitions[-1:]:
                for argument in definition.argnames:
                    needed = known.get(argument, ())[: -1 if argument == name else None]
                    if needed and needed[-1]._scope < definition._scope:
                        found[id(definition)] = _problem(config, definition, needed[-1])
    return list(found.values())


def _problem(config: pytest.Config, definition: Any, needed: Any) -> Problem:
    where, hint = origin(config, definition.func)
    return Problem(
        f"fixture {definition.argname} of {where} exists once in each {definition.scope}, but needs {needed.argname}, "
        f"which exists once in each {needed.scope}",
        f"Give it scope {needed.scope!r}." if hint.startswith("Remove") else hint,
    )
