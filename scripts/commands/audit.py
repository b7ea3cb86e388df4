"""``audit verify``: checks that a report is unchanged since its run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from deployment.errors import DeploymentError, NoKey, Refused, SettingsError, first_line
from deployment.evidence import archive, keys
from deployment.evidence.attestation import ENVELOPE_FILE, Checker, unsigned_files
from deployment.evidence.audit import Anchors, Finding, Outcome, examine
from deployment.evidence.journal import JOURNAL_FILE
from deployment.evidence.opening import JOURNAL_ONLY
from deployment.evidence.store.copies import copies
from deployment.files import parse_json
from deployment.model import Reads
from deployment.settings import Settings, load
from infrastructure import compose, estate
from infrastructure.compose import Environment
from scripts.commands.console import one_line

FAILED = 1
UNCHECKED = 6
"""Nothing is wrong as far as it could be checked, and a key or an anchor was missing."""
LISTED = 5


def choose(reports: Path, run_id: str | None) -> Path:
    """Return the folder of a run (None: the newest). Raises Refused, with the newest runs, if it does not exist."""
    folders = sorted(path.parent for path in reports.glob(f"*/{JOURNAL_FILE}") if not path.parent.is_symlink())
    known = [folder.name for folder in folders]
    if run_id is None and (reports / "latest").exists():
        return (reports / "latest").resolve()
    if run_id is None and folders:
        return next((one for one in reversed(folders) if not _writes_no_report(one)), folders[-1])
    if run_id in known:
        return reports / str(run_id)
    newest = ", ".join(reversed(known[-LISTED:])) or "none"
    missing = "no report was found" if run_id is None else f"report {run_id} was not found"
    raise Refused(f"{missing} in {reports}", hint=f"The newest: {newest}")


def environment_of(folder: Path) -> str | None:
    """Return the environment that the report's journal names, None if it names none."""
    named = _opened(folder).get("environment")
    return str(named) if named else None


def _writes_no_report(folder: Path) -> bool:
    return _opened(folder).get("mode") in JOURNAL_ONLY


def _opened(folder: Path) -> Mapping[str, Any]:
    """Return the first line of a journal; empty if it cannot be read."""
    try:
        path = folder / JOURNAL_FILE
        opened = parse_json(path.read_bytes().partition(b"\n")[0]) if path.is_file() else {}
    except (OSError, ValueError):
        return {}
    return opened if isinstance(opened, dict) else {}


def verify_named(settings_file: Path, environment: str | None, folder: Path) -> int:
    """Verify with the settings of ``environment``, by default of the one that the journal names; return as ``verify`` does.

    Raises SettingsError if the settings cannot be used. If only the journal names an environment that they do not have, the
    journal is checked without its anchors and key.
    """
    named = environment or environment_of(folder)
    try:
        settings = load(settings_file, named)
    except SettingsError as error:
        if environment is not None or named is None:
            raise
        load(settings_file)
        problem = f"the journal names an {first_line(error)}"
        anchors = Anchors(unread=[f"neither the lease nor the audit store was read: {problem}"])
        return _show(folder, named, examine(folder, JOURNAL_FILE, anchors, _unreached(problem)))
    return verify(settings, folder)


def verify(settings: Settings, folder: Path) -> int:
    """Print the findings; return 0 if all hold, 1 if one does not, 6 if one could not be checked."""
    try:
        environment: Environment | None = compose.connect(settings, Reads.NOTHING)
        problem = ""
    except DeploymentError as error:
        environment, problem = None, first_line(error)
    anchors = _anchors(environment, problem, settings.environment, folder.name)
    findings = examine(folder, JOURNAL_FILE, anchors, checker_of(settings, environment, problem))
    return _show(folder, settings.environment, findings)


def _show(folder: Path, environment: str, findings: Sequence[Finding]) -> int:
    click.echo(one_line(f"{folder.name}, of {environment}"))
    for finding in findings:
        click.echo(line(finding))
    if others := unsigned_files(folder):
        click.echo(one_line(f"  not covered by the signature: {', '.join(others)}"))
    outcomes = {finding.outcome for finding in findings}
    if Outcome.BAD in outcomes:
        click.echo("THE EVIDENCE DOES NOT HOLD: do not rely on this report", err=True)
        return FAILED
    if Outcome.UNCHECKED in outcomes:
        click.echo("not all of the evidence could be checked; what was checked holds", err=True)
        return UNCHECKED
    click.echo("the evidence holds")
    return 0


def line(finding: Finding) -> str:
    """Return a finding as one line of output."""
    return one_line(f"  {finding.outcome.value:<11}  {finding.what:<17}  {finding.detail}")


def checker_of(settings: Settings, environment: Environment | None, problem: str) -> Callable[[], Checker]:
    """Return the signature checker: the environment's, or if it was not reached, that of the settings' key file."""
    if environment is not None:
        return environment.checker
    public = estate.public_key_file(settings)
    return (
        _unreached(problem)
        if public is None
        else keys.checker(keys.no_key, keys.public(None, None, public), estate.earlier_public_key_files(settings))
    )


def _unreached(problem: str) -> Callable[[], Checker]:
    def unreached() -> Checker:
        raise NoKey(f"the key could not be read: {problem}")

    return unreached


def _anchors(environment: Environment | None, problem: str, name: str, run_id: str) -> Anchors:
    """Return the copies in the lease and the audit store, and why one of them was not read."""
    if environment is None:
        return Anchors(unread=[f"neither the lease nor the audit store was read: {problem}"])
    unread: list[str] = []
    head, journals, envelopes = None, [], []
    try:
        head = archive.anchored(environment.ports.lease, run_id)
    except (DeploymentError, ValueError) as error:
        unread.append(f"the lease was not read: {first_line(error)}")
    if environment.store is not None:
        try:
            journals = copies(environment.store, name, run_id, JOURNAL_FILE)
            envelopes = copies(environment.store, name, run_id, ENVELOPE_FILE)
        except DeploymentError as error:
            unread.append(f"the audit store was not read: {first_line(error)}")
    return Anchors(head, journals, envelopes, unread)
