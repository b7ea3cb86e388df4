"""Refuse a collection that proves nothing: a deployment, a verification and ``--plan`` ask the same questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deployment.errors import Refused
from deployment.settings import Settings
from plugins.integrity.always_true import always_true
from plugins.integrity.collection_guard import declared, duplicates, uncollected
from plugins.integrity.findings import Findings
from plugins.integrity.forgotten import forgotten
from plugins.integrity.hook_guard import Problem
from plugins.stages import Check, gate_of_name, problems_of, samples
from verification.declarative.exemptions import Kind


@dataclass(frozen=True)
class Collected:
    """What a run collected; ``errors`` and ``skipped`` count files. ``left_out``: the gate that does not belong to the run."""

    checks: Sequence[Check]
    findings: Findings
    errors: int = 0
    skipped: int = 0
    left_out: str | None = None

    def belongs(self, file: str, suites: Path) -> bool:
        """Return whether a file or node id, relative to the parent of ``suites``, belongs to the run."""
        return self.left_out is None or gate_of_name(file, suites.name) != self.left_out


def refuse_problems(problems: Sequence[Problem]) -> None:
    """Raise Refused if a plugin, a conftest or a fixture prevents or could change the outcome of checks."""
    if not problems:
        return
    what, hints = problems[0].what, list(dict.fromkeys(one.hint for one in problems))
    if " implements " in what:
        what += ": only pytest and this framework may decide a check's outcome"
    raise Refused(
        f"{what} (the first of {len(problems)} problems)" if len(problems) > 1 else what,
        hint=" ".join(hints),
    )


def refuse_invalid(collected: Collected, settings: Settings | None) -> None:
    """Raise Refused if no check was collected, if a file could not be collected, or if checks or plugins are invalid."""
    if collected.errors:
        files = "1 file" if collected.errors == 1 else f"{collected.errors} files"
        first = (
            f"; {'the first: ' if collected.errors > 1 else ''}{collected.findings.broken}"
            if collected.findings.broken
            else ""
        )
        raise Refused(
            f"{files} of checks could not be collected{first}", hint="Correct it; the terminal shows all of its error."
        )
    refuse_problems(collected.findings.problems)
    for problem in problems_of(collected.checks):
        raise Refused(problem)
    for check in collected.checks:
        if check.exemption is not None and check.exemption.kind is Kind.INVALID:
            problem, _, hint = check.exemption.reason.partition("; ")
            raise Refused(
                f"{check.exemption.place}: {problem}", where=check.gate, hint=f"{hint[:1].upper()}{hint[1:]}."
            )
    for check in collected.checks:
        samples(check, settings.table(check.gate) if settings else {})
    if not collected.checks:
        raise Refused("no check was collected", hint="Put checks into suites/GATE/test_*.py; see docs/add-a-check.md.")


def refuse_incomplete(collected: Collected, suites: Path, *, whole: bool) -> None:
    """Raise Refused if checks are missing; in a run that is not whole, because the user selected checks, they may be."""
    found, names = collected.findings, [check.nodeid for check in collected.checks]
    named = list(declared(suites))
    if doubled := duplicates(named):
        raise Refused(
            f"{doubled[0]} is defined twice in its file, and only the last one would run", hint="Rename one of them."
        )
    if unread := [one for one in forgotten(suites, names, whole) if collected.belongs(one.what, suites)]:
        raise Refused(
            str(unread[0]),
            hint=f"Rename it, or delete it if it is not a check ({len(unread)} in all); see docs/add-a-check.md.",
        )
    files = {name.partition("::")[0] for name in names}
    harmless = [one for one in always_true(suites) if collected.belongs(one[0], suites)]
    if harmless := [one for one in harmless if whole or one[0].partition(":")[0] in files]:
        raise Refused(
            " ".join(harmless[0]).partition("; ")[0],
            hint=f"{harmless[0][1].partition('; ')[2].capitalize()} ({len(harmless)} in all).",
        )
    if not whole:
        return
    if found.deselected:
        raise Refused(f"{found.deselected} checks were deselected, but this run must run all checks")
    if collected.skipped:
        raise Refused(f"{collected.skipped} files of checks were skipped, but this run must run all checks")
    if found.shortened:
        raise Refused(found.shortened[0], hint="Look for a conftest or a plugin that implements pytest_generate_tests.")
    missing = [*uncollected(named, names), *found.unbound]
    if missing := [name for name in dict.fromkeys(missing) if collected.belongs(name, suites)]:
        raise Refused(
            f"{missing[0]} {'is in its file but' if '::' in missing[0] else 'is a file of checks that'} was not collected "
            f"({len(missing)} in all)",
            hint="Look for a condition around it (if, try), for collect_ignore, a conftest or an option that leaves it out.",
        )


def refuse_contradictions(checks: Sequence[Check], absent: Mapping[str, str]) -> None:
    """Raise Refused if a gate has checks although the service declares that it has no such part."""
    for name, reason in absent.items():
        own = [check for check in checks if check.gate == name]
        if own:
            raise Refused(
                f"{reason}, but gate {name} has {len(own)} checks, among them {own[0].nodeid}",
                where=name,
                hint=f"Delete suites/{name}/, or describe the part in suites/service.yaml; see docs/any-service.md.",
            )


def refuse_small_gates(
    checks: Sequence[Check], settings: Settings, gates: Sequence[str], absent: Mapping[str, str]
) -> None:
    """Raise Refused if a required gate has fewer checks than the settings require; an absent gate needs none."""
    for name in gates:
        if name in absent:
            continue
        own = [check for check in checks if check.gate == name]
        rule, size = settings.rule(name), sum(check.counts for check in own)
        if rule.required and size < rule.min_checks:
            others = f" (besides {len(own) - size} that are advisory or skipped)" if len(own) > size else ""
            raise Refused(
                f"gate {name} has {size} checks{others}, but {rule.min_checks} are required",
                where=name,
                hint=f"Add checks to suites/{name}/, or change gates.{name}.min_checks in deployment.toml.",
            )
