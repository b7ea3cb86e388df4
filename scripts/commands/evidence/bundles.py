"""``audit export`` and ``audit verify BUNDLE``: evidence for an auditor, who checks it on another machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import click

from deployment.errors import DeploymentError, NoKey, Refused, first_line
from deployment.evidence.audit import Finding, Outcome
from deployment.evidence.keys import read_key
from deployment.evidence.past import runs as past
from deployment.evidence.report import REPORT_FILE
from deployment.evidence.store import bundle
from deployment.evidence.store.controls import CONTROLS, EVERY
from deployment.evidence.store.copies import incomplete
from deployment.files import problem_of
from deployment.project import framework_version
from scripts.commands.audit import FAILED, UNCHECKED, line
from scripts.commands.console import one_line
from scripts.commands.evidence.stored import Found


@dataclass
class _Export:
    """The runs of a bundle: ``ids`` were written, ``left_out`` were not, each with the reason."""

    found: Found
    kinds: Sequence[str]
    since: datetime | None
    ids: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def runs(self) -> Iterator[tuple[str, Mapping[str, bytes]]]:
        """Yield each run with its files. Raises CloudError."""
        for run_id in self.found.runs():
            files = self.found.read(run_id)
            try:
                run = past.parse(run_id, files[REPORT_FILE])
            except past.NOT_A_REPORT:
                self.left_out[run_id] = f"it has no {REPORT_FILE} that can be read"
                continue
            if run.kind not in self.kinds or (self.since is not None and run.started_at < self.since):
                continue
            if problem := incomplete(files):
                self.left_out[run_id] = problem
                continue
            self.ids.append(run_id)
            yield run_id, files


def export(found: Found, control: str | None, since: datetime | None, target: Path | None) -> int:
    """Write a bundle; return 0, or 1 if a run had to be left out. Raises Refused if there is no run for it, CloudError."""
    if control is not None and control not in CONTROLS:
        raise Refused(f"control {control} is not known", hint=f"Known: {', '.join(CONTROLS)}")
    found.warn()
    named = target or Path(f"evidence-{found.environment}-{datetime.now(UTC):%Y%m%d}.tar")
    path = named.absolute()
    if os.path.lexists(path):
        raise Refused(f"{path} exists", hint="Name another file with --to FILE.")
    chosen = _Export(found, EVERY if control is None else CONTROLS[control].kinds, since)
    temporary = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        with temporary.open("xb") as file:
            bundle.write(file, chosen.runs(), _keys(found), _about(chosen, control))
        if not chosen.ids:
            raise Refused(f"no run of {found.environment} in {found.place} can be exported{_reasons(chosen.left_out)}")
        os.replace(temporary, path)
    except OSError as error:
        raise Refused(f"{path} cannot be written: {problem_of(error)}") from None
    finally:
        temporary.unlink(missing_ok=True)
    click.echo(
        f"{len(chosen.ids)} run{'' if len(chosen.ids) == 1 else 's'} of {found.environment} from {found.place}: {path}"
    )
    for run_id, why in chosen.left_out.items():
        click.echo(f"LEFT OUT: {run_id}: {why}", err=True)
    return FAILED if chosen.left_out else 0


def _about(chosen: _Export, control: str | None) -> dict[str, object]:
    """Return what the manifest says; its lists are filled while the runs are written."""
    names = [control] if control is not None else list(CONTROLS)
    return {
        "framework_version": framework_version(),
        "environment": chosen.found.environment,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "since": None if chosen.since is None else chosen.since.isoformat(),
        "controls": {name: vars(CONTROLS[name]) for name in names},
        "runs": chosen.ids,
        "left_out": chosen.left_out,
    }


def _reasons(left_out: Mapping[str, str]) -> str:
    return "".join(f"; {run_id}: {why}" for run_id, why in left_out.items())


def _keys(found: Found) -> list[str]:
    """Return the environment's public keys; none, and a warning, if they cannot be read."""
    try:
        return list(found.checker().pems.values())
    except DeploymentError as error:
        click.echo(f"no public key is in the bundle: {first_line(error)}", err=True)
        return []


def verify(path: Path, key_files: Sequence[Path], fingerprints: Sequence[str]) -> int:
    """Print the findings about a bundle; return 0 if all hold, 1 if one does not, 6 if one could not be checked.

    Raises Refused if a trusted key cannot be read.
    """
    try:
        checked = bundle.verify(path, [read_key(file) for file in key_files], fingerprints)
    except NoKey as error:
        raise Refused(str(error), hint="--key is a file with an Ed25519 public key in PEM.") from None
    except OSError as error:
        raise Refused(
            f"{path} cannot be unpacked: {problem_of(error)}", hint="Set TMPDIR to a folder with space."
        ) from None
    _show(path.name, checked.own)
    for run_id, findings in checked.runs.items():
        _show(run_id, findings)
    left_out: Mapping[str, str] = checked.manifest.get("left_out", {})
    for run_id, why in left_out.items():
        click.echo(one_line(f"not in the bundle: {run_id}: {why}"))
    if Outcome.BAD in checked.outcomes:
        click.echo("THE EVIDENCE DOES NOT HOLD: do not rely on this bundle", err=True)
        return FAILED
    if Outcome.UNCHECKED in checked.outcomes:
        click.echo("not all of the evidence could be checked; what was checked holds", err=True)
        return UNCHECKED
    click.echo(f"the evidence of {len(checked.runs)} run{'' if len(checked.runs) == 1 else 's'} holds")
    return 0


def _show(name: str, findings: Sequence[Finding]) -> None:
    click.echo(one_line(name))
    for finding in findings:
        click.echo(line(finding))
