"""Detect fixtures that do not exist or cannot work together, before anything is touched instead of in every check of a deployment."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from types import ModuleType
from typing import Any

import pytest
from _pytest.fixtures import FixtureFunctionDefinition

from plugins.integrity.hook_guard import Problem, is_known_function, origin
from plugins.stages import GateNode

FRAMEWORK = ("plugins.fixtures", "plugins.described.fixtures")
"""The modules with the fixtures of checks."""
REPLACEABLE = ("client", "base_url", "live_client", "live")
"""The fixtures that a project may replace in all checks: whom they ask. See ``plugins.declarative.items``."""
functions_key = pytest.StashKey[dict[int, tuple[Any, Any]]]()
"""The fixtures by ``id``, each with the function that it had when the first check that uses it was collected."""


def remember(item: pytest.Item) -> None:
    """Store the functions of a check's fixtures; a conftest or a fixture could exchange them later."""
    known = item.config.stash.setdefault(functions_key, {})
    for definitions in getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {}).values():
        for one in definitions:
            known.setdefault(id(one), (one, one.func))


def exchanged(item: pytest.Item) -> str | None:
    """Return which fixture of a check was exchanged or left out while it was set up; None if each gave its own value."""
    if type(item) is not pytest.Function:
        return None
    info, used = item._fixtureinfo, item._request._fixture_defs
    known = item.config.stash.get(functions_key, {})
    for definitions in info.name2fixturedefs.values():
        for one in definitions:
            _, function = known.get(id(one), (one, one.func))
            if one.func is not function and not is_known_function(one.func):
                return f"the function of fixture {one.argname}"
    for name in set(info.initialnames) - {"request"}:  # pytest makes this one for each check
        if name not in item.funcargs or name not in used:
            return f"the fixture {name}"
        result = used[name].cached_result
        if result is not None and result[0] is not item.funcargs[name]:
            return f"the value of fixture {name}"
    return None


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


def unknown(config: pytest.Config, items: Sequence[pytest.Item]) -> list[Problem]:
    """Return each fixture that a check, or a fixture of it, names and that nothing defines.

    pytest itself reports this only when the check is set up, with the names of all fixtures.
    """
    found: dict[tuple[str, str], Problem] = {}
    for item in items:
        info = getattr(item, "_fixtureinfo", None)
        known: Mapping[str, Sequence[Any]] = getattr(info, "name2fixturedefs", {})
        for name in getattr(info, "names_closure", ()):
            if name not in known and name != "request":  # pytest makes this one for each check
                by = [fixture for fixture, all_of in known.items() if any(name in one.argnames for one in all_of)]
                check = item.nodeid.partition("[")[0]
                who = f"the fixture {by[0]} of {check}" if by else check
                found.setdefault((who, name), _unknown(who, name, _defined(config) | known.keys()))
    return list(found.values())


def shadowed(config: pytest.Config, items: Sequence[pytest.Item]) -> list[Problem]:
    """Return each fixture of a project that replaces the framework's one of the same name in checks of the description.

    These checks take its value for the framework's own: None for ``before`` means that nothing was measured. Clients and
    addresses may be replaced, because the requests to the release are counted.
    """
    found: dict[str, Problem] = {}
    for item in items:
        if not isinstance(item.parent, GateNode):
            continue
        known: Mapping[str, Sequence[Any]] = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
        for name, definitions in known.items():
            own = [one.func.__module__ in FRAMEWORK for one in definitions]
            if name not in REPLACEABLE and any(own) and not own[-1]:
                found.setdefault(name, _shadow(config, definitions[-1], item.nodeid))
    return list(found.values())


def _shadow(config: pytest.Config, definition: Any, check: str) -> Problem:
    where, hint = origin(config, definition.func)
    return Problem(
        f"fixture {definition.argname} of {where} replaces the framework's fixture of this name, which {check} needs",
        "Give it another name." if hint.startswith("Remove it") else hint,
    )


def _defined(config: pytest.Config) -> set[str]:
    """Return the names of the fixtures of all plugins."""
    members = (vars(plugin) for plugin in config.pluginmanager.get_plugins() if isinstance(plugin, ModuleType))
    return {name for them in members for name, one in them.items() if isinstance(one, FixtureFunctionDefinition)}


def _unknown(who: str, name: str, defined: Collection[str]) -> Problem:
    close = difflib.get_close_matches(name, [one for one in defined if not one.startswith("_")], n=1)
    meant = f"; did you mean {close[0]}?" if close else ""
    return Problem(
        f"{who} needs the fixture {name}, which no file and no plugin defines{meant}",
        "`pytest --fixtures suites` lists the fixtures.",
    )


def _problem(config: pytest.Config, definition: Any, needed: Any) -> Problem:
    where, hint = origin(config, definition.func)
    return Problem(
        f"fixture {definition.argname} of {where} exists once in each {definition.scope}, but needs {needed.argname}, "
        f"which exists once in each {needed.scope}",
        f"Give it scope {needed.scope!r}." if hint.startswith("Remove") else hint,
    )
