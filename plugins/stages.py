"""Gates by folder: a check's gate is its folder in ``suites/``, and the gate determines the stage in which it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Protocol

import pytest

from deployment.errors import Refused
from deployment.evidence.verdict import LIVE
from verification.declarative.checks import SUFFIXES

BAKED = "baked"
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
MARKER = f"{SAMPLES}(number or setting of the gate): answers of the release that the check needs to pass"


class Stage(IntEnum):
    """When checks run. Stages that measure time run alone on the machine; LIVE and BAKE run after the promotion.

    DATABASE and REDIS come before the other functional gates, whose checks would wait for a dead dependency.
    """

    HEALTH = 0
    DATABASE = 1
    REDIS = 2
    FUNCTIONAL = 3
    LATENCY = 4
    LOAD = 5
    LOADED = 6
    LIVE = 7
    BAKE = 8


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
    """

    nodeid: str
    gate: str
    stage: Stage
    declares: str = ""


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


def folder_of(path: Path, suites: Path) -> str:
    """Return the folder of ``suites/`` that holds the file; empty if none does."""
    if not path.is_relative_to(suites):
        return ""
    parts = path.relative_to(suites).parts
    return parts[0] if len(parts) > 1 else ""


def check_of(item: pytest.Item, suites: Path) -> Check:
    """Return the check of an item.

    A check that uses the fixture ``loaded`` runs after the load; one of the live gate that uses ``baked`` runs after the bake.
    """
    gate, fixtures = gate_of(item, suites), getattr(item, "fixturenames", ())
    stage = STAGES.get(gate, Stage.FUNCTIONAL)
    if stage is Stage.LIVE:
        stage = Stage.BAKE if BAKED in fixtures else stage
    elif LOADED in fixtures:
        stage = Stage.LOADED
    return Check(item.nodeid, gate, stage, _declared(item))


def is_ordinary(check: Check) -> bool:
    """Return whether the check asks the candidate one request at a time, as a user does, before the latency gate."""
    return check.stage < Stage.LATENCY and check.gate != BYSTANDER


def _declared(item: pytest.Item) -> str:
    """Return the check's declared samples, from its decorator first, because plugins can change the item's markers."""
    own = [mark for mark in getattr(getattr(item, "function", None), "pytestmark", ()) if mark.name == SAMPLES]
    mark = own[0] if own else item.get_closest_marker(SAMPLES)
    return "" if mark is None else " ".join(map(str, mark.args)) or "none"


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
    declared = {path.relative_to(suites).parts[0] for path in files_of_checks(suites)}
    coded = {path.name for path in suites.iterdir() if path.is_dir() and any(path.glob("**/test_*.py"))}
    return sorted(declared | coded)


def files_of_checks(suites: Path) -> list[Path]:
    """Return all YAML files of checks, independent of pytest's arguments."""
    return [path for path in sorted(suites.glob("*/**/*")) if is_file_of_checks(path, suites)]


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
