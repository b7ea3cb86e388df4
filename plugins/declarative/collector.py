"""Checks in YAML: pytest collects each ``suites/GATE/*.yaml`` as a module, and each check in it as an ordinary item."""

from __future__ import annotations

import os
import types
from collections.abc import Collection, Generator, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from deployment.errors import Refused
from deployment.settings import load as load_settings
from infrastructure.description import service_of
from plugins import fixtures
from plugins.declarative.ahead import PlayAhead
from plugins.declarative.items import CLIENT, LIVE_CLIENT, function_of, taking_key, took_key
from plugins.options import project_of
from plugins.run import redactor_key, suites_of
from plugins.stages import ahead_key, is_file_of_checks
from verification.contract.openapi import Contract
from verification.declarative.checks import DeclaredCheck, load
from verification.declarative.demands import names_a_schema, unknown_sessions, unusable_variables
from verification.declarative.source import InvalidChecks

PATIENCE_S = 60.0
"""So long a stopped run waits for the checks that are played ahead and must still remove what they wrote."""


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Return a collector for a YAML file of checks, None for any other file."""
    if is_file_of_checks(file_path, suites_of(parent.config)):
        return CheckFile.from_parent(parent, path=file_path)
    return None


class CheckFile(pytest.Module):
    """A module whose functions come from YAML: pytest handles fixtures, parameters, workers and reports as usual."""

    def _getobj(self) -> types.ModuleType:
        """Return a module with a function for each check. Raises CollectError with every mistake in the file."""
        shown = self.path.relative_to(self.config.rootpath).as_posix()
        try:
            checks = load(self.path, shown, _schemas(self.config) if names_a_schema(load(self.path, shown)) else None)
            mistakes = [*_sessions(checks, self.config), *_variables(checks, self.config)]
            if mistakes:
                raise InvalidChecks("\n".join(mistakes))
        except InvalidChecks as error:
            raise self.CollectError(f"{error}\ndocs/add-a-check.md describes the format") from None
        module = types.ModuleType(self.path.stem)
        replaced = self._replaced()
        for check in checks:
            setattr(module, check.name, function_of(check, self.path, replaced))
        return module

    def _replaced(self) -> frozenset[str]:
        """Return the fixtures of clients that a conftest or a plugin has replaced for this file."""
        manager = self.session._fixturemanager
        definitions = {name: manager.getfixturedefs(name, self) or () for name in (*CLIENT, *LIVE_CLIENT)}
        return frozenset(name for name, found in definitions.items() if any(not _is_own(one) for one in found))

    def funcnamefilter(self, name: str) -> bool:
        """Collect every check, whether or not its name starts with ``test_``."""
        return not name.startswith("__")


def _is_own(definition: Any) -> bool:
    return getattr(definition.func, "__module__", None) == fixtures.__name__


# -- what only the project knows -------------------------------------------------------------------------------------------


def _schemas(config: pytest.Config) -> Sequence[str] | None:
    """Return the names of the contract's schemas; None without a usable description, which the run itself refuses."""
    try:
        settings = load_settings(project_of(config).settings_file, config.option.environment)
        contract = service_of(settings).contract
        return () if contract is None else _contract(settings.service_file.parent / contract).schemas
    except (Refused, OSError, ValueError):
        return None


@cache  # loaded once for all files
def _contract(path: Path) -> Contract:
    return Contract.load(path)


def _sessions(checks: Sequence[DeclaredCheck], config: pytest.Config) -> Iterator[str]:
    """Yield the checks whose session the description does not have."""
    if not any(check.has_session for check in checks):
        return
    try:
        known = service_of(load_settings(project_of(config).settings_file, config.option.environment)).sessions
    except (Refused, OSError, ValueError):
        return  # the run itself refuses the description
    yield from unknown_sessions(checks, known)


def _variables(checks: Sequence[DeclaredCheck], config: pytest.Config) -> Iterator[str]:
    """Redact the variables that these checks use in all output; yield those that cannot be used."""
    redactor = config.stash.get(redactor_key, None)
    learn = (lambda _: None) if redactor is None else redactor.learn
    named: Collection[str] = ()
    # A run against an address reads no secret of an environment.
    if any(check.variables for check in checks) and not config.option.base_url:
        try:
            named = load_settings(project_of(config).settings_file, config.option.environment).named_secrets
        except (Refused, OSError, ValueError):
            named = ()  # the run itself refuses the settings
    yield from unusable_variables(checks, os.environ, learn, named)


# -- how its items run -----------------------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    """Let the test loop of this process play checks ahead."""
    config.stash[ahead_key] = config.stash[taking_key] = PlayAhead(PATIENCE_S)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give the report of a check that was played ahead the time at which it was played, and its duration."""
    report = yield
    result = item.stash.get(took_key, None)
    if result is not None and call.when == "call":
        report.start, report.duration = result.started_at, result.seconds
        report.stop = report.start + report.duration
    return report
