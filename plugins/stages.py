"""Gates by folder: a check's gate is its folder in ``suites/``, and the gate determines the stage in which it runs."""

from __future__ import annotations

import linecache
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import pytest

from deployment.errors import Refused
from deployment.evidence.verdict import LIVE
from verification.declarative.checks import SUFFIXES
from verification.declarative.exemptions import Exemption, Kind, mistakes_in_skip, not_here, today

BAKED = "baked"
BEFORE_LOAD = "before_load"
LOADED = "loaded"
CONTINUITY = "continuity"
LATENCY = "latency"
BYSTANDER = "bystander"
"""The gate that sends requests to the live colour: its failures already harm users."""
DESCRIPTION = "service.yaml"
"""``suites/service.yaml`` describes the service; each gate has checks from it."""
CONTRACT_FOLDER = "contract"
"""``suites/contract/`` holds the service's OpenAPI document and no checks."""


SAMPLES = "samples"
ADVISORY, SKIP_UNTIL = "advisory", "skip_until"
MARKERS = (
    f"{SAMPLES}(number or setting of the gate): answers of the release that the check needs to pass",
    f"{ADVISORY}(reason): the check is shown, but does not count for its gate",
    f'{SKIP_UNTIL}("YYYY-MM-DD", reason="…"): the check is not run up to and including this day (UTC)',
)
today_key = pytest.StashKey[date]()
"""The day (UTC) on which the run began: it decides in all processes which skips have ended."""


class Stage(IntEnum):
    """When checks run. Stages that measure time run alone on the machine; LIVE and BAKE run after the promotion.

    DATABASE and REDIS come before the other functional gates, whose checks would wait for a dead dependency. BEFORE_LOAD has
    the checks that need to see what all of these gates have done.
    """

    HEALTH = 0
    DATABASE = 1
    REDIS = 2
    FUNCTIONAL = 3
    BEFORE_LOAD = 4
    LATENCY = 5
    LOAD = 6
    LOADED = 7
    LIVE = 8
    BAKE = 9


STAGES = {
    "health": Stage.HEALTH,
    BYSTANDER: Stage.HEALTH,
    "database": Stage.DATABASE,
    "redis": Stage.REDIS,
    LATENCY: Stage.LATENCY,
    "load": Stage.LOAD,
    LIVE: Stage.LIVE,
}
AFTER_DEPENDENCIES = (Stage.REDIS, Stage.FUNCTIONAL)
"""The stages whose checks need what the stages before them have checked, up to HEALTH."""


@dataclass(frozen=True)
class Check:
    """An expected check: its node id, its gate (empty outside the gates' folders) and its stage.

    ``declares``: the least number of samples, as a number or the name of a setting of the gate; empty if it declares none.
    ``exemption``: how the check is exempt from counting for its gate; None if it is not.
    """

    nodeid: str
    gate: str
    stage: Stage
    declares: str = ""
    exemption: Exemption | None = None

    @property
    def counts(self) -> bool:
        """Whether the gate needs the check: it is neither advisory nor skipped."""
        return self.exemption is None or self.exemption.kind is Kind.EXPIRED

    @property
    def advisory(self) -> bool:
        """Whether the check is run and shown, without counting for its gate."""
        return self.exemption is not None and self.exemption.kind is Kind.ADVISORY

    @property
    def skipped(self) -> bool:
        """Whether the check is not run, because a skip is in force."""
        return self.exemption is not None and self.exemption.kind is Kind.SKIPPED


class AheadOfItems(Protocol):
    """Checks that are played before their items run; the test loop says when that may happen."""

    def plan(self, items: Sequence[pytest.Item]) -> None:
        """Take the items of a stage, in the order in which they will run."""

    def quiet(self) -> AbstractContextManager[None]:
        """Return a block in which no request is sent."""

    def stop(self) -> list[str]:
        """Play nothing further. Return the checks that were asked and whose items did not take their results."""


ahead_key = pytest.StashKey[AheadOfItems]()


class GateNode:
    """A collected node whose checks belong to a gate, for every kind of file."""

    gate: str


def gate_of(item: pytest.Item, suites: Path) -> str:
    """Return the gate of an item: the folder of ``suites/`` that holds its file, or the gate that its collector names.

    Empty if it has none.
    """
    named = next((node.gate for node in item.iter_parents() if isinstance(node, GateNode)), None)
    return folder_of(item.path, suites) if named is None else named


def gate_of_name(nodeid: str, suites: str) -> str:
    """Return the gate of a check by its node id, relative to the parent of the folder ``suites``."""
    file, *names = nodeid.split("::")
    if file == f"{suites}/{DESCRIPTION}":
        return names[0] if names else ""
    parts = file.split("/")
    return parts[1] if parts[0] == suites and len(parts) > 2 else ""


@lru_cache(maxsize=1024)  # asked several times for each check
def folder_of(path: Path, suites: Path) -> str:
    """Return the folder of ``suites/`` that holds the file; empty if none does."""
    if not path.is_relative_to(suites):
        return ""
    parts = path.relative_to(suites).parts
    return parts[0] if len(parts) > 1 else ""


def check_of(item: pytest.Item, suites: Path) -> Check:
    """Return the check of an item.

    A check that uses the fixture ``loaded`` runs after the load, and one that uses ``before_load`` after the functional gates;
    one of the live gate that uses ``baked`` runs after the bake.
    """
    gate, fixtures = gate_of(item, suites), getattr(item, "fixturenames", ())
    stage = STAGES.get(gate, Stage.FUNCTIONAL)
    if stage is Stage.LIVE:
        stage = Stage.BAKE if BAKED in fixtures else stage
    elif LOADED in fixtures:
        stage = Stage.LOADED
    elif BEFORE_LOAD in fixtures:
        stage = max(stage, Stage.BEFORE_LOAD)
    return Check(item.nodeid, gate, stage, _declared(item), exemption_of(item, gate))


def is_ordinary(check: Check) -> bool:
    """Return whether the check asks the candidate one request at a time, as a user does, before the latency gate."""
    return check.stage < Stage.LATENCY and check.gate != BYSTANDER


def _declared(item: pytest.Item) -> str:
    """Return the check's declared samples, from its decorator first, because plugins can change the item's markers."""
    own = [mark for mark in getattr(getattr(item, "function", None), "pytestmark", ()) if mark.name == SAMPLES]
    mark = own[0] if own else item.get_closest_marker(SAMPLES)
    return "" if mark is None else " ".join(map(str, mark.args)) or "none"


def exemption_of(item: pytest.Item, gate: str) -> Exemption | None:
    """Return how a check is exempt, by the markers ``advisory`` and ``skip_until`` in its file; None if it is not.

    Markers that a plugin or a conftest adds to the collected item do not count: the file alone makes a check weaker.
    """
    marks = list(_marks_in_file(item))
    found = [mark for mark in marks if mark.name in (ADVISORY, SKIP_UNTIL)]
    if not found:
        return None
    mark = found[0]  # the nearest one: of a parameter, else of the function, its class or its module
    place, day = _place_of(item, mark.name), item.config.stash.get(today_key, None) or today()
    if len({one.name for one in found}) > 1:
        both = f"@pytest.mark.{ADVISORY} and @pytest.mark.{SKIP_UNTIL} on one check; delete one of the two"
        return Exemption(Kind.INVALID, both, place=place)
    problem = not_here(gate, ADVISORY if mark.name == ADVISORY else "skipped") or next(_mistakes_in(mark, day), None)
    if problem is not None:
        return Exemption(Kind.INVALID, problem, place=place)
    if mark.name == ADVISORY:
        return Exemption(Kind.ADVISORY, str(mark.args[0]).strip() if mark.args else "", place=place)
    until = str(mark.args[0])
    kind = Kind.EXPIRED if date.fromisoformat(until) < day else Kind.SKIPPED
    return Exemption(kind, str(mark.kwargs["reason"]).strip(), until, place)


def _mistakes_in(mark: pytest.Mark, day: date) -> Iterator[str]:
    if mark.name == ADVISORY:
        if mark.kwargs or len(mark.args) > 1 or not all(isinstance(one, str) and one.strip() for one in mark.args):
            yield f'@pytest.mark.{ADVISORY} takes a reason; write @pytest.mark.{ADVISORY}("…")'
        return
    if len(mark.args) != 1 or set(mark.kwargs) != {"reason"}:
        usage = f'@pytest.mark.{SKIP_UNTIL}("YYYY-MM-DD", reason="…")'
        yield f"@pytest.mark.{SKIP_UNTIL} takes the last day and a reason; write {usage}"
        return
    for _, what in mistakes_in_skip(mark.kwargs["reason"], mark.args[0], day):
        yield what


def _marks_in_file(item: pytest.Item) -> Iterator[pytest.Mark]:
    """Yield the markers of a check where its file puts them, the nearest first."""
    callspec = getattr(item, "callspec", None)
    places: list[Any] = [getattr(callspec, "marks", ())]
    owners = [getattr(item, "function", None), *getattr(getattr(item, "cls", None), "__mro__", ())]
    for owner in (*owners, getattr(item, "module", None)):
        own = getattr(owner, "__dict__", {}).get("pytestmark", ())
        places.append(own if isinstance(own, list | tuple) else [own])
    for place in places:
        for one in place:
            mark = getattr(one, "mark", one)  # ``pytestmark = pytest.mark.x`` holds a decorator
            if isinstance(mark, pytest.Mark):
                yield mark


def _place_of(item: pytest.Item, marker: str) -> str:
    """Return file and line of a check's marker; the line of the check if the marker stands elsewhere, as that of a class."""
    code = getattr(getattr(item, "function", None), "__code__", None)
    file = item.nodeid.partition("::")[0]
    if code is None:
        return file
    first, path = code.co_firstlineno, code.co_filename
    for line in range(first, first + 20):
        text = linecache.getline(path, line)
        if f"mark.{marker}" in text:
            return f"{file}:{line}"
        if text.lstrip().startswith(("def ", "async def ")):
            break
    return f"{file}:{first}"


def samples(check: Check, table: Mapping[str, Any]) -> int:
    """Return the least number of samples, 0 if the check declares none. Raises Refused if its gate has no such setting."""
    if not check.declares:
        return 0
    number = table.get(check.declares, check.declares)
    if not str(number).isdecimal() or int(number) < 1:
        raise Refused(
            f"{check.nodeid} declares its samples by {check.declares!r}, which is neither a number nor a setting of gate {check.gate}",
            where=check.gate,
            hint=f"Write @pytest.mark.samples(40), or samples('consecutive') for gates.{check.gate}.consecutive.",
        )
    return int(number)


def folders(suites: Path) -> list[str]:
    """Return the gates that have a folder with checks."""
    return sorted({path.relative_to(suites).parts[0] for path in (*files_of_checks(suites), *python_files(suites))})


def files_of_checks(suites: Path) -> list[Path]:
    """Return all YAML files of checks, independent of pytest's arguments."""
    return [path for path in _in_folders(suites) if is_file_of_checks(path, suites)]


def python_files(suites: Path) -> list[Path]:
    """Return all Python files of checks, independent of pytest's arguments."""
    return [path for path in _in_folders(suites) if path.match("test_*.py") and path.is_file()]


def _in_folders(suites: Path) -> list[Path]:
    return [path for path in files_below(suites) if path.parent != suites]


def files_below(folder: Path) -> list[Path]:
    """Return all files below a folder, also behind links to folders, which pytest follows as well; Python's caches are excluded."""
    return sorted(_files(folder, frozenset()))


def _files(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    """Yield the files below a folder. ``above``: the real paths of the folders that hold it; a link back to one is ignored."""
    real = os.path.realpath(folder)
    if real in above or folder.name == "__pycache__":
        return
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return  # pytest reports it
    for entry in entries:
        if _is_folder(entry):
            yield from _files(folder / entry.name, above | {real})
        else:
            yield folder / entry.name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def is_file_of_checks(path: Path, suites: Path) -> bool:
    """Return whether this is a YAML file below ``suites/``; the description and the contract's folder are excluded."""
    if path.suffix not in SUFFIXES or not path.is_relative_to(suites) or path == suites / DESCRIPTION:
        return False
    return path.relative_to(suites).parts[0] != CONTRACT_FOLDER


def problems_of(checks: Sequence[Check]) -> Iterable[str]:
    """Yield the reasons why a set of checks cannot be counted: no gate, or the same name twice."""
    seen: set[str] = set()
    for check in checks:
        if not check.gate:
            yield f"{check.nodeid} is not in a gate's folder; move it to suites/GATE/"
        if check.nodeid in seen:
            yield f"two checks are named {check.nodeid}; rename one of them"
        seen.add(check.nodeid)
