"""``coverage``: prints which of the contract's documented answers the checks of a run met."""

from __future__ import annotations

import json
from pathlib import Path

import click

from deployment.errors import Refused
from deployment.evidence.journal import JOURNAL_FILE, last_data, read
from verification.contract.coverage import demanded

FAILED = 1
NAMED = 3


def show(folder: Path, as_json: bool) -> int:
    """Print every documented answer with its checks; return 0, or 1 if no check met an answer that ``cover`` names.

    Raises Refused if the run recorded no coverage.
    """
    data = last_data(list(read(folder / JOURNAL_FILE)), "coverage")
    if not data:
        raise Refused(
            f"report {folder.name} has no coverage: its run had no contract, ran no check, or is of an older version",
            hint="Run `pytest` and ask again, or name another report.",
        )
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
    click.echo(f"{folder.name}: {found} of {len(answers)} documented answers met")
    if lacking:
        click.echo(f"not met, and named by `cover` of deployment.toml: {', '.join(lacking)}", err=True)
        return FAILED
    return 0


def _checks(checks: list[str], needed: bool) -> str:
    names = [check.removeprefix("suites/") for check in checks[:NAMED]]
    more = f" and {len(checks) - NAMED} more" if len(checks) > NAMED else ""
    return f"{', '.join(names)}{more}" if names else "not met (demanded)" if needed else "not met"
