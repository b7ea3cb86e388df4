"""Checks in YAML: pytest collects each ``suites/GATE/*.yaml`` as a module, and each check in it as an ordinary item."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployment.errors import Refused
from deployment.settings import load as load_settings
from infrastructure.description import service_of
from plugins.options import project_of
from plugins.run import suites_of
from plugins.stages import is_file_of_checks
from verification.contract.openapi import Contract
from verification.declarative.checks import DeclaredCheck, fill, load
from verification.declarative.judge import CheckFailed, ask, judge, statuses
from verification.declarative.source import InvalidChecks


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
            checks = load(self.path, shown)
            if any(isinstance(check.expect.get("schema"), str) for check in checks):
                checks = load(self.path, shown, _schemas(self.config))
        except InvalidChecks as error:
            raise self.CollectError(f"{error}\ndocs/add-a-check.md describes the format") from None
        module = types.ModuleType(self.path.stem)
        for check in checks:
            setattr(module, check.name, _function(check, self.path))
        return module

    def funcnamefilter(self, name: str) -> bool:
        """Collect every check, whether or not its name starts with ``test_``."""
        return not name.startswith("__")


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


def _function(check: DeclaredCheck, path: Path) -> Callable[..., None]:
    def run(
        client: httpx.Client,
        contract: Contract,
        measure: Callable[..., None],
        signed_in: Mapping[str, str] | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        _run(check, client, contract, measure, signed_in or {}, parameters or {})

    fixtures = ["client", "contract", "measure"]
    fixtures += ["signed_in"] if check.signed_in else []
    fixtures += ["parameters"] if check.parameters else []
    own = inspect.signature(run).parameters
    # pytest reads the fixture names from the signature, and the check's file and line from the code object.
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # PEP 362
        [own[name].replace(default=inspect.Parameter.empty) for name in fixtures]
    )
    run.__code__ = run.__code__.replace(co_filename=str(path), co_firstlineno=check.line, co_name=check.name)
    if check.parameters:
        ids = [_id(one) for one in check.parameters]
        pytest.mark.parametrize("parameters", check.parameters, ids=ids)(run)
    return run


def _id(parameters: Mapping[str, Any]) -> str:
    """Return ``id`` if the parameters have one, else their values; without brackets, which would end the item's id."""
    text = str(parameters["id"]) if "id" in parameters else "-".join(str(value) for value in parameters.values())
    return "".join(letter if letter.isalnum() or letter in " _.,=-" else "_" for letter in text)[:60]


def _run(
    check: DeclaredCheck,
    client: httpx.Client,
    contract: Contract,
    measure: Callable[..., None],
    headers: Mapping[str, str],
    parameters: Mapping[str, Any],
) -> None:
    expect = fill(dict(check.expect), parameters)
    problem = None
    try:
        response = ask(client, check, parameters, headers)
        _clean_up(client, contract, response, headers)
        wanted = statuses(expect)
        measure("status", response.status_code, limit=" or ".join(map(str, wanted)), samples=1)
        elapsed = round(response.elapsed.total_seconds() * 1000, 1)
        measure("answered in", elapsed, limit=expect.get("within_ms"), unit="ms", samples=1)
        judge(check, response, contract, parameters)
    except CheckFailed as failure:
        problem = str(failure)
    if problem is not None:
        pytest.fail(problem, pytrace=False)  # a traceback would show only this framework's code


def _clean_up(client: httpx.Client, contract: Contract, response: httpx.Response, headers: Mapping[str, str]) -> None:
    """Delete the resource that a POST created, if the contract has ``DELETE`` for its path and the ``id`` in the answer."""
    request = response.request
    if request.method != "POST" or not response.is_success:
        return
    made = response.json() if "json" in response.headers.get("content-type", "") else None
    if isinstance(made, dict) and isinstance(made.get("id"), str):
        path = f"{request.url.path}/{made['id']}"
        if contract.operation_for("DELETE", path) is not None:
            client.delete(path, headers=dict(headers))
