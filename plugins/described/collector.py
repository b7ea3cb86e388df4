"""Collects the checks that come from ``suites/service.yaml``; pytest handles fixtures, workers and reports as usual."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployment.errors import SettingsError
from plugins.described.checks import DescribedCheck, Function, checks_of
from plugins.run import suites_of
from plugins.stages import DESCRIPTION, GateNode
from verification.declarative.service import InvalidService, load_service


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Let ``suites/GATE`` on the command line mean the whole gate, with its checks from the description."""
    suites = suites_of(config)
    base = config.invocation_params.dir
    if not any((base / argument).resolve().parent == suites for argument in config.args):
        return
    described = _gates(suites / DESCRIPTION)
    selected: list[str] = []
    for argument in config.args:
        path = (base / argument).resolve()
        is_gate = path.parent == suites and path.name in described
        if not is_gate or path.is_dir():
            selected.append(argument)
        if is_gate:
            selected.append(f"{suites / DESCRIPTION}::{path.name}")
    config.args[:] = selected


def _gates(file: Path) -> set[str]:
    """Return the gates that have checks from the description, none if it cannot be used: its collection says why."""
    try:
        return {one.gate for one in checks_of(load_service(file, file.name))}
    except (InvalidService, OSError):
        return set()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Return a collector for the description of the service, None for any other file."""
    if file_path == suites_of(parent.config) / DESCRIPTION:
        return ServiceFile.from_parent(parent, path=file_path)
    return None


class ServiceFile(pytest.File):
    """The description of the service: a node for each gate that has checks from it."""

    def collect(self) -> Iterator[pytest.Collector]:
        """Yield the gates. Raises CollectError with every mistake in the file."""
        try:
            service = load_service(self.path, f"{self.path.parent.name}/{self.path.name}")
        except (InvalidService, SettingsError) as error:
            raise self.CollectError(f"{error}\ndocs/any-service.md describes the format") from None
        gates: dict[str, list[DescribedCheck]] = {}
        for one in checks_of(service):
            gates.setdefault(one.gate, []).append(one)
        for gate, found in gates.items():
            node: DescribedGate = DescribedGate.from_parent(
                self, path=self.path, name=gate, nodeid=f"{self.nodeid}::{gate}"
            )
            node.fill(gate, found)
            yield node


class DescribedGate(pytest.Module, GateNode):
    """A module whose functions are the described checks of one gate."""

    def fill(self, gate: str, checks: list[DescribedCheck]) -> None:
        """Set the gate and its checks."""
        self.gate = gate
        self._checks = checks

    def _getobj(self) -> types.ModuleType:
        module = types.ModuleType(self.name)
        for one in self._checks:
            setattr(module, one.name, _function(one))
        return module

    def funcnamefilter(self, name: str) -> bool:
        """Collect every check, whether or not its name starts with ``test_``."""
        return not name.startswith("__")


def _function(one: DescribedCheck) -> Function:
    def run(**fixtures: Any) -> None:
        problem = None
        try:
            one.function(**{name: fixtures[name] for name in one.fixtures}, **one.arguments)
        except AssertionError as error:
            problem = str(error)
        if problem is not None:
            pytest.fail(problem, pytrace=False)  # a traceback would show only this framework's code

    own = inspect.signature(one.function).parameters
    # pytest reads the fixtures' names from the signature.
    when = [inspect.Parameter(one.when, inspect.Parameter.POSITIONAL_OR_KEYWORD)] if one.when else []
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # PEP 362
        [*when, *(own[name].replace(default=inspect.Parameter.empty) for name in one.fixtures)]
    )
    run.__doc__ = one.function.__doc__
    code = one.function.__code__
    run.__code__ = run.__code__.replace(
        co_filename=code.co_filename, co_firstlineno=code.co_firstlineno, co_name=one.name
    )
    if hasattr(one.function, "pytestmark"):
        run.pytestmark = one.function.pytestmark  # type: ignore[attr-defined]  # where pytest keeps marks
    return run
