"""What a process found when it had collected: the reasons to refuse the run that the coordinator cannot see itself."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from plugins.integrity.bound_names import unbound
from plugins.integrity.collection_guard import is_data, parse, shortened
from plugins.integrity.fixture_guard import clashes, remember, shadowed, unknown
from plugins.integrity.hook_guard import Problem, foreign_hooks, replaced
from plugins.integrity.process_guard import file_hashes
from plugins.stages import gate_of, python_files

LOAD = "load"


@dataclass(frozen=True)
class Findings:
    """The findings of one process.

    ``problems`` forbid any run; ``shortened`` (checks without some of their parameters), ``unbound`` (checks whose names their
    files did not bind, and files that were not collected) and ``deselected`` forbid a whole run, one of all checks.
    ``files``: the SHA-256 of each file below ``suites/``. ``broken``: the first file that could not be collected, with its
    error; empty if there is none.
    """

    problems: tuple[Problem, ...] = ()
    shortened: tuple[str, ...] = ()
    deselected: int = 0
    unbound: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    broken: str = ""


class CollectionWatch:
    """A plugin that counts the checks that were taken out of the collection, whether or not that was reported."""

    def __init__(self, suites: Path, load: bool) -> None:
        """Start counting. ``load``: whether that gate belongs to the run; if not, its checks do not count as missing."""
        self._suites, self._excused = suites, None if load else LOAD
        self._reported: set[str] = set()
        self._found: list[pytest.Item] = []
        self._parameters: dict[str, dict[str, object]] = {}
        self._modules: dict[str, pytest.Module] = {}
        self._skipped = 0
        self._broken = ""
        self._uncollected: list[str] = []

    @property
    def skipped(self) -> int:
        """How many files were skipped as a whole."""
        return self._skipped

    @pytest.hookimpl(wrapper=True)
    def pytest_pycollect_makeitem(self, collector: Any, name: str, obj: object) -> Generator[None, Any, Any]:
        """Note what has the name of a check and is called like a function, but is none: pytest only warns.

        Collect nothing from a class of data, such as ``class TestRow(NamedTuple)``: pytest would warn of its constructor.
        """
        made = yield
        if type(made) is pytest.Class and isinstance(obj, type) and is_data(obj):
            return []
        like_a_check = not isinstance(obj, type) and collector.istestfunction(obj, name)
        if not made and like_a_check and getattr(obj, "__test__", True):
            self._uncollected.append(f"{collector.nodeid}::{name}")
        return made

    @property
    def broken(self) -> str:
        """The first file that could not be collected, with its error; empty if there is none."""
        return self._broken

    def problems(self) -> list[Problem]:
        """Return the checks that pytest cannot collect, because they are not functions, and those whose parameters were
        changed after they were collected.
        """
        unlike = [item.nodeid for item in self._found if not self._has_its_parameters(item)]
        return [
            *(
                Problem(f"{one} is not a function, so it is never collected", "Write a function, or rename it.")
                for one in self._uncollected
            ),
            *(
                Problem(
                    f"the parameters of {one} were changed after it was collected",
                    "Remove the hook that changes them, and write the values in @pytest.mark.parametrize.",
                )
                for one in unlike
            ),
        ]

    def _has_its_parameters(self, item: pytest.Item) -> bool:
        known, now = self._parameters[item.nodeid], _parameters_of(item)
        return known.keys() == now.keys() and all(known[name] is now[name] for name in known)

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Report a file that ends the process, as ``sys.exit()`` does, like one with another error."""
        try:
            return (yield)
        except SystemExit as error:
            text = f"SystemExit: {error.code} (a file of checks must not end the process)"
            return pytest.CollectReport(collector.nodeid, "failed", text, [])

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Count deselected items."""
        self._reported |= {item.nodeid for item in items if not self._is_excused(item)}

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Count the files that were skipped, and store the error of the first one that could not be collected."""
        self._skipped += report.skipped
        if report.failed and not self._broken:
            self._broken = f"{report.nodeid}: {_cause_of(report)}"

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Store each item as it is found: no hook that is registered later can remove it before."""
        self._found.append(item)
        self._parameters[item.nodeid] = dict(_parameters_of(item))
        remember(item)

    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        """Store the files that pytest collects."""
        if isinstance(collector, pytest.Module):
            self._modules[collector.nodeid] = collector

    def unbound(self) -> Iterator[str]:
        """Yield the files of checks that were not collected, and the checks whose names their files did not bind."""
        for path in python_files(self._suites):
            file = path.relative_to(self._suites.parent).as_posix()
            tree, module = parse(path), self._modules.get(file)
            if module is None:
                yield file
            elif tree is not None and (imported := vars(module).get("_obj")) is not None:
                yield from (f"{file}::{name}" for name in unbound(tree.body, imported, self._suites))

    def missing(self, items: Sequence[pytest.Item]) -> int:
        """Return how many checks are missing in ``items``."""
        left = {item.nodeid for item in items}
        gone = {item.nodeid for item in self._found if item.nodeid not in left and not self._is_excused(item)}
        return len(gone | self._reported)

    def _is_excused(self, item: pytest.Item) -> bool:
        return self._excused is not None and gate_of(item, self._suites) == self._excused


def _cause_of(report: pytest.CollectReport) -> str:
    """Return the last line of the error; pytest marks the lines of an exception's text by ``E``."""
    lines = [line for line in str(report.longrepr or "").splitlines() if line.strip()]
    marked = [line[1:].strip() for line in lines if line.startswith("E ")]
    return (marked or lines or ["without a text"])[-1].strip()


def _parameters_of(item: pytest.Item) -> Mapping[str, object]:
    """Return the values of a check's parameters, by name; empty if it has none."""
    return getattr(getattr(item, "callspec", None), "params", {})


def findings(config: pytest.Config, items: Sequence[pytest.Item], suites: Path, watch: CollectionWatch) -> Findings:
    """Return the findings of this process about the items that it collected."""
    return Findings(
        (
            *foreign_hooks(config),
            *replaced(items),
            *clashes(config, items),
            *unknown(config, items),
            *shadowed(config, items),
            *watch.problems(),
        ),
        tuple(shortened(items)),
        watch.missing(items),
        tuple(watch.unbound()),
        file_hashes(suites),
        watch.broken,
    )


def from_json(raw: Mapping[str, Any]) -> Findings:
    """Return the findings of a worker, which come as JSON."""
    return Findings(
        tuple(Problem(**one) for one in raw["problems"]),
        tuple(raw["shortened"]),
        raw["deselected"],
        tuple(raw["unbound"]),
        raw["files"],
        raw["broken"],
    )
