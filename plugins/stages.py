"""Gates by folder: a check's gate is the folder of ``suites/`` that it lies in, and its gate decides when it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest

from deployment.errors import Refused
from deployment.evidence.verdict import LIVE
from verification.yaml_checks import SUFFIXES

BAKED = "baked"
LOADED = "loaded"
CONTINUITY = "continuity"
BYSTANDER = "bystander"
"""The gate that asks the live colour: what fails there harms users already."""
CONTRACT_FOLDER = "contract"
"""``suites/contract/`` holds the service's own document, and no checks."""


SAMPLES = "samples"
MARKER = f"{SAMPLES}(number or setting of the gate): answers of the release without which the check is no pass"


class Stage(IntEnum):
    """When checks run. What measures time has the machine to itself; what needs the promotion comes after it."""

    HEALTH = 0
    FUNCTIONAL = 1
    LATENCY = 2
    LOAD = 3
    LOADED = 4
    LIVE = 5
    BAKE = 6


STAGES = {
    "health": Stage.HEALTH,
    BYSTANDER: Stage.HEALTH,
    "latency": Stage.LATENCY,
    "load": Stage.LOAD,
    LIVE: Stage.LIVE,
}


@dataclass(frozen=True)
class Check:
    """One expected item: its node id, its gate (empty where it lies in no gate's folder) and its stage.

    ``declares``: how many samples it takes at least; a number, or the name of the gate's setting that says so; empty: none.
    """

    nodeid: str
    gate: str
    stage: Stage
    declares: str = ""


def gate_of(path: Path, suites: Path) -> str:
    """The folder of ``suites/`` that holds the file; empty where there is none."""
    if not path.is_relative_to(suites):
        return ""
    parts = path.relative_to(suites).parts
    return parts[0] if len(parts) > 1 else ""


def check_of(item: pytest.Item, suites: Path) -> Check:
    """An item as a check. One that asks for ``loaded`` runs after the load, one of the live gate that asks for ``baked`` when
    the watch is over.
    """
    gate, asked = gate_of(item.path, suites), getattr(item, "fixturenames", ())
    stage = STAGES.get(gate, Stage.FUNCTIONAL)
    if stage is Stage.LIVE:
        stage = Stage.BAKE if BAKED in asked else stage
    elif LOADED in asked:
        stage = Stage.LOADED
    return Check(item.nodeid, gate, stage, _declared(item))


def _declared(item: pytest.Item) -> str:
    """What the check's own decorator says, whatever somebody made of the item's markers since; else its class's or file's."""
    own = [mark for mark in getattr(getattr(item, "function", None), "pytestmark", ()) if mark.name == SAMPLES]
    mark = own[0] if own else item.get_closest_marker(SAMPLES)
    return "" if mark is None else " ".join(map(str, mark.args)) or "none"


def samples(check: Check, table: Mapping[str, Any]) -> int:
    """How many samples a check takes at least, 0 where it declares none. Raises Refused where its gate has no such setting."""
    if not check.declares:
        return 0
    number = table.get(check.declares, check.declares)
    if not str(number).isdecimal() or int(number) < 1:
        raise Refused(
            f"{check.nodeid} declares its samples by {check.declares!r}, which is no number, and no setting of gate {check.gate}",
            where=check.gate,
            hint=f"Write @pytest.mark.samples(40), or samples('consecutive') for gates.{check.gate}.consecutive.",
        )
    return int(number)


def folders(suites: Path) -> list[str]:
    """The gates that there are folders for."""
    declared = {path.relative_to(suites).parts[0] for path in files_of_checks(suites)}
    coded = {path.name for path in suites.iterdir() if path.is_dir() and any(path.glob("**/test_*.py"))}
    return sorted(declared | coded)


def files_of_checks(suites: Path) -> list[Path]:
    """The files of checks in YAML, whatever pytest was told to collect."""
    return [path for path in sorted(suites.glob("*/**/*")) if is_file_of_checks(path, suites)]


def is_file_of_checks(path: Path, suites: Path) -> bool:
    """Every YAML file below ``suites/`` is one but the contract: what somebody wrote there is never passed over in silence."""
    if path.suffix not in SUFFIXES or not path.is_relative_to(suites):
        return False
    return path.relative_to(suites).parts[0] != CONTRACT_FOLDER


def objections(checks: Sequence[Check]) -> Iterable[str]:
    """What makes a set of checks unfit to be counted."""
    seen: set[str] = set()
    for check in checks:
        if not check.gate:
            yield f"{check.nodeid} lies in no gate's folder; move it to suites/GATE/"
        if check.nodeid in seen:
            yield f"there are two checks named {check.nodeid}"
        seen.add(check.nodeid)
