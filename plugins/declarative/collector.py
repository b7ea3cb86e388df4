"""Checks in YAML: pytest collects each ``suites/GATE/*.yaml`` as a module, and each check in it as an ordinary item."""

from __future__ import annotations

import inspect
import os
import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployment.errors import Refused
from deployment.settings import load as load_settings
from infrastructure.description import service_of
from plugins.fixtures import Session
from plugins.options import project_of
from plugins.run import redactor_key, suites_of
from plugins.stages import is_file_of_checks
from verification.contract.openapi import Contract
from verification.declarative.checks import Case, DeclaredCheck, load
from verification.declarative.demands import clean_up, names_a_schema, unknown_sessions, unusable_variables
from verification.declarative.judge import Asker, CheckFailed, differences
from verification.declarative.source import InvalidChecks
from verification.journeys.accounts import SmokeUser
from verification.journeys.model import Expectation
from verification.journeys.placeholders import Values

CANDIDATE, LIVE, BOTH, EACH = "candidate", "live", "both", "each"


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
        for check in checks:
            setattr(module, check.name, _function(check, self.path))
        return module

    def funcnamefilter(self, name: str) -> bool:
        """Collect every check, whether or not its name starts with ``test_``."""
        return not name.startswith("__")


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
    if not any(check.session for check in checks):
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


# -- how a check runs ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Side:
    """A colour as a check sees it: its name in the report, its client, and the headers of the session there."""

    name: str
    client: httpx.Client
    headers: Mapping[str, str]


def _function(check: DeclaredCheck, path: Path) -> Callable[..., None]:
    def run(_deployment: Session, client: httpx.Client, measure: Callable[..., None], **more: Any) -> None:
        clients = {CANDIDATE: client, LIVE: more.get("live_client")}
        colour = more.get("colour", CANDIDATE if check.on == EACH else check.on)
        user = more.get("smoke_user")
        sides = [
            _Side(name, one, _headers(check, _deployment, one, user))
            for name, one in clients.items()
            if one is not None and colour in (name, BOTH)
        ]
        _run(check, more.get("case", check.cases[0]), sides, _deployment, user, measure)

    fixtures = ["_deployment", "client", "measure"]
    fixtures += ["live_client"] if check.on != CANDIDATE else []
    fixtures += ["smoke_user"] if check.signed_in or check.session else []
    if check.has_parameters:
        fixtures += ["case"]
        run = pytest.mark.parametrize("case", check.cases, ids=[case.id for case in check.cases])(run)
    if check.on == EACH:
        fixtures += ["colour"]
        run = pytest.mark.parametrize("colour", [CANDIDATE, LIVE])(run)
    # pytest reads the fixture names from the signature, and the check's file and line from the code object.
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # PEP 362
        [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in fixtures]
    )
    run.__code__ = run.__code__.replace(co_filename=str(path), co_firstlineno=check.line, co_name=check.name)
    return run


def _headers(
    check: DeclaredCheck, deployment: Session, client: httpx.Client, user: SmokeUser | None
) -> Mapping[str, str]:
    if user is None:
        return {}
    session = deployment.signed_in() if check.session is None else deployment.service.sessions[check.session]
    return deployment.credentials(client, session, user).headers


def _run(
    check: DeclaredCheck,
    case: Case,
    sides: Sequence[_Side],
    deployment: Session,
    user: SmokeUser | None,
    measure: Callable[..., None],
) -> None:
    problem = None
    try:
        answers = [_play(check, case, side, deployment, deployment.values(user), measure) for side in sides]
        if check.on == BOTH and (found := list(differences(check, *answers))):
            raise CheckFailed("\n".join(found))
    except CheckFailed as failure:
        problem = str(failure)
    if problem is not None:
        pytest.fail(problem, pytrace=False)  # a traceback would show only this framework's code


def _play(
    check: DeclaredCheck,
    case: Case,
    side: _Side,
    deployment: Session,
    values: Values,
    measure: Callable[..., None],
) -> list[httpx.Response]:
    contract = None if deployment.service.contract is None else deployment.contract
    where = "" if check.on == CANDIDATE else f" on {side.name}"
    written: list[httpx.Response] = []

    def answered(step: str, response: httpx.Response, expect: Expectation) -> None:
        name = f"{step}, " if step else ""
        written.append(response)
        measure(f"{name}status{where}", response.status_code, limit=" or ".join(map(str, expect.statuses)), samples=1)
        elapsed = round(response.elapsed.total_seconds() * 1000, 1)
        measure(f"{name}answered in{where}", elapsed, limit=expect.within_ms, unit="ms", samples=1)

    try:
        return Asker(side.client, contract, side.headers, answered).play(check, case, values)
    finally:
        for response in written:
            if contract is not None and not case.undo:
                clean_up(side.client, contract, response, side.headers)
