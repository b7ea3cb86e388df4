"""``coverage``: prints which of the contract's documented answers the checks of a run met."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from deployment.errors import JournalBroken, Refused, first_line
from deployment.evidence.journal import JOURNAL_FILE, last_data, read
from scripts.commands import audit
from scripts.commands.console import one_line
from verification.contract.coverage import demanded

FAILED = 1
NAMED = 3


def show(reports: Path, run_id: str | None, as_json: bool) -> int:
    """Print every documented answer with the checks of a run (None: of the newest run that recorded coverage).

    Return 0, or 1 if no check met an answer that ``cover`` names. Raises Refused if there is no such run.
    """
    folder, data = _newest(reports) if run_id is None else _named(audit.choose(reports, run_id))
    answers, met = list(data["documented"]), data["met"]
    needed = set(demanded(answers, data.get("cover", ())))
    lacking = [one for one in answers if one in needed and not met.get(one)]
    if as_json:
        rows = [{"answer": one, "demanded": one in needed, "checks": met.get(one, [])} for one in answers]
        click.echo(json.dumps({"deployment_id": folder.name, "answers": rows}, indent=2))
        return FAILED if lacking else 0
    width = max(map(len, answers), default=0)
    for one in answers:
        click.echo(f"  {one:<{width}}  {_checks(met.get(one, []), one in needed)}")
    found = sum(bool(met.get(one)) for one in answers)
    partial = " (a partial run: not every check ran)" if data["partial"] else ""
    click.echo(f"{folder.name}: {found} of {len(answers)} documented answers met{partial}")
    if lacking:
        click.echo(f"not met, and named by `cover` of deployment.toml: {', '.join(lacking)}", err=True)
        return FAILED
    return 0


def _named(folder: Path) -> tuple[Path, Mapping[str, Any]]:
    data = _recorded(folder)
    if data is None:
        raise Refused(
            f"report {folder.name} has no coverage: its run had no contract, ran no check, or is of an older version",
            hint="Name the report of a run with checks, or none for the newest of them.",
        )
    return folder, data


def _newest(reports: Path) -> tuple[Path, Mapping[str, Any]]:
    """Return the newest report with coverage: a rollback and a refused run have none."""
    for folder in sorted(reports.glob("*/"), reverse=True):  # an id begins with the time
        if not (folder / JOURNAL_FILE).exists() or folder.is_symlink():
            continue
        try:
            data = _recorded(folder)
        except (JournalBroken, OSError) as error:
            click.echo(one_line(f"left out: {folder.name}: {first_line(error)}"), err=True)
            continue
        if data is not None:
            return folder, data
    raise Refused(
        f"no report in {reports} has coverage: a run records it if the description names a contract and a check ran",
        hint="Run `pytest` and ask again.",
    )


def _recorded(folder: Path) -> Mapping[str, Any] | None:
    """Return the record of a run's coverage, and whether the run was ``partial``; None if it has none."""
    records = list(read(folder / JOURNAL_FILE))
    found = last_data(records, "coverage")
    return {**found, "partial": bool(last_data(records, "closed").get("partial"))} if found else None


def _checks(checks: list[str], needed: bool) -> str:
    names = [check.removeprefix("suites/") for check in checks[:NAMED]]
    more = f" and {len(checks) - NAMED} more" if len(checks) > NAMED else ""
    return f"{', '.join(names)}{more}" if names else "not met (demanded)" if needed else "not met"
