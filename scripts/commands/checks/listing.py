"""``checks``: lists every check with its gate, owner, severity, last result and history."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click

from deployment.project import Project
from deployment.settings import Settings
from infrastructure.description import contract_of, service_of
from scripts.commands.checks.collected import SKIPPED, collected
from verification import history
from verification.declarative.checks import load
from verification.declarative.demands import uncompared_checks, uncompared_parts
from verification.history import History

OWNERS = ("CODEOWNERS", ".github/CODEOWNERS", "docs/CODEOWNERS")
_COLUMNS = ("gate", "severity", "last", "passed", "median", "owner", "flaky", "check")
_NOT_RUN = History("-", "", 0, 0, 0.0, {})


@dataclass(frozen=True)
class _Row:
    gate: str
    check: str
    owner: str
    severity: str
    history: History

    def document(self) -> dict[str, Any]:
        """Return the row as JSON values."""
        known = self.history
        return {
            "gate": self.gate,
            "check": self.check,
            "owner": self.owner or None,
            "severity": self.severity,
            "last": None if known is _NOT_RUN else known.last,
            "last_run": known.last_run or None,
            "runs": known.runs,
            "passed": known.passed,
            "median_s": None if known is _NOT_RUN else round(known.seconds, 3),
            "flaky_releases": known.flaky,
            "chance": known.chance_data(),
            "releases": {digest: {"passed": one, "runs": every} for digest, (one, every) in known.releases.items()},
        }


def run(settings: Settings, reports: Path, as_json: bool) -> int:
    """Print the checks of all gates, and return 0. Raises Refused if they cannot be collected."""
    listed = collected(settings)
    known = history.read(reports)
    for folder, why in known.broken.items():
        click.echo(f"left out: {reports / folder}: {why}", err=True)
    owners = _Owners(settings.project)
    rows = [
        _Row(
            one.gate,
            one.check,
            owners.of(one.check.partition("::")[0]),
            f"{one.severity} until {one.until}" if one.severity == SKIPPED else one.severity,
            known.of(one.check) or _NOT_RUN,
        )
        for one in listed
    ]
    for text in _uncompared(settings, [one.check for one in listed]):
        click.echo(f"warning: {text}", err=True)
    if as_json:
        click.echo(json.dumps([row.document() for row in rows], indent=2))
        return 0
    click.echo("\n".join([*_table([_line(row) for row in rows]), f"{len(rows)} checks"]))
    return 0


def _uncompared(settings: Settings, checks: Sequence[str]) -> list[str]:
    """Return a sentence for each request of the description and of the checks in YAML that the contract does not have."""
    contract, root = contract_of(settings), settings.project.root
    if contract is None:
        return []
    files = dict.fromkeys(check.partition("::")[0] for check in checks)
    declared = [one for one in files if one.endswith((".yaml", ".yml")) and root / one != settings.service_file]
    found = [f"{settings.service_file.name}: {text}" for text in uncompared_parts(service_of(settings), contract)]
    for file in declared:
        found += uncompared_checks(load(root / file, file, contract.schemas), contract)
    return list(dict.fromkeys(found))


def _line(row: _Row) -> tuple[str, ...]:
    known = row.history
    if known is _NOT_RUN:
        return row.gate, row.severity, "", "", "", row.owner, "", row.check
    flaky = f"{known.flaky} of {len(known.releases)} releases, {known.odds}" if known.flaky else ""
    passed = f"{known.passed} of {known.runs}"
    return row.gate, row.severity, known.last, passed, f"{known.seconds:.2f} s", row.owner, flaky, row.check


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the table's lines: without the columns that are empty, and with the long ids last, so that 80 columns show the rest."""
    if not rows:
        return []
    kept = [column for column, _ in enumerate(_COLUMNS) if any(row[column] for row in rows)]
    lines = [[(row[column] or "-") for column in kept] for row in (_COLUMNS, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip() for line in lines]


class _Owners:
    """The owners of files by CODEOWNERS, where the last pattern that fits decides; empty without such a file."""

    def __init__(self, project: Project) -> None:
        file = next((project.root / name for name in OWNERS if (project.root / name).is_file()), None)
        lines: Sequence[str] = () if file is None else file.read_text(encoding="utf-8", errors="replace").splitlines()
        rules = [re.sub(r"(^|\s)#.*", "", line).split() for line in lines]
        self._rules = [(rule[0], " ".join(rule[1:])) for rule in rules if rule]

    def of(self, path: str) -> str:
        """Return the owners of a file, by its path in the project."""
        return next((who for pattern, who in reversed(self._rules) if _fits(pattern, path)), "")


def _fits(pattern: str, path: str) -> bool:
    anchored = "/" in pattern.rstrip("/")
    pattern = pattern.strip("/")
    places = [path] if anchored else [path, *path.split("/")]
    return pattern == "*" or any(fnmatchcase(one, pattern) or one.startswith(f"{pattern}/") for one in places)
