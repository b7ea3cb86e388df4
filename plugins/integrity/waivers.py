"""Waivers: a required gate may fail, or a check may have become weaker, without stopping the promotion; the journal keeps the reason."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from deployment.errors import Refused
from deployment.evidence.verdict import LIVE, names_of
from deployment.files import parse_json
from deployment.plan import CHECKS, CHECKS_OF
from plugins.stages import Check, gate_of_name
from verification.declarative.placeholder_rules import nearest

# Without these gates a promotion would not know whether the release runs, or whether users reach it.
NEVER_WAIVED = ("health", LIVE)
HINT = 'Give it as --waive GATE=REASON, for instance --waive latency="known slow disk, ticket 4711".'
SHOWN = 5


def parse(given: Sequence[str], gates: Collection[str], checks: Sequence[Check] = ()) -> Mapping[str, str]:
    """Return the reason for each waived gate, and for each waived check or file of checks.

    Raises Refused if a gate or check is unknown, must not be waived or is named twice, or if the reason is missing.
    """
    waivers: dict[str, str] = {}
    exempt = sorted({key for check in checks if not check.counts for key in names_of(check.nodeid)}, key=len)
    for one in given:
        check = next((key for key in reversed(exempt) if one.startswith(f"{key}=")), None)
        name, _, reason = one.partition("=") if check is None else (check, "=", one[len(check) + 1 :])
        name, reason = name.strip(), reason.strip()
        if not reason:
            raise Refused(f"--waive {one} needs a reason", hint=HINT)
        if name in NEVER_WAIVED:
            raise Refused(f"gate {name} cannot be waived", where=name)
        if check is None and is_check(name):
            known = nearest(name, exempt) or f"; there are {', '.join(exempt[-SHOWN:]) or 'none'}"
            raise Refused(f"--waive {one}: no check that is advisory or skipped has this name{known}")
        if check is None and name not in gates:
            raise Refused(f"--waive {one}: unknown gate {name!r}", hint=f"Use one of: {', '.join(sorted(gates))}")
        if name in waivers:
            word = "" if is_check(name) else "gate "
            raise Refused(f"{word}{name} is waived twice", hint="Waive it once, with one reason.", where=name)
        waivers[name] = reason
    return waivers


def is_check(name: str) -> bool:
    """Return whether a waiver's name is that of a check or file, not of a gate: a gate is one folder, without a slash."""
    return "/" in name


# -- compared with the last promotion --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Weakened:
    """A part that the last promotion needed and this one does not; ``name`` is what ``--waive`` takes."""

    name: str
    gate: str
    what: str


def last_checks(notes: Mapping[str, str]) -> list[str] | None:
    """Return the checks that the last promotion had to pass, by the notes beside the lease; None if they are not recorded."""
    try:
        found = parse_json(notes[CHECKS])
    except (KeyError, ValueError):
        return None
    return [str(one) for one in found] if isinstance(found, list) else None


def weakened(last: Collection[str], checks: Sequence[Check], absent: Mapping[str, str], suites: str) -> list[Weakened]:
    """Return what became weaker since the last promotion, which had to pass the checks ``last``.

    A check that is advisory or skipped now: by its whole name, or if the same check had other parameters and none of them
    counts now. A gate that is ``absent`` now and had checks. ``suites`` is the name of the checks' folder.
    """
    before = {_base(one) for one in last}
    counting = {_base(check.nodeid) for check in checks if check.counts}
    found: dict[str, Weakened] = {}
    for gate, reason in absent.items():
        if had := sum(gate_of_name(one, suites) == gate for one in last):
            found[gate] = Weakened(gate, gate, f"gate {gate} had {had} checks, and is absent now: {reason}")
    names = set(last)
    for check in checks:
        base = _base(check.nodeid)
        if check.exemption is None or check.counts or not (check.nodeid in names or (base in before - counting)):
            continue
        name = check.nodeid if base in counting else base
        found[name] = Weakened(name, check.gate, f"{name} was required, and is {check.exemption.kind} now")
    return list(found.values())


def _base(nodeid: str) -> str:
    """Return a check's name without its parameters."""
    return nodeid.partition("[")[0]


def refuse_weaker(
    notes: Mapping[str, str],
    checks: Sequence[Check],
    absent: Mapping[str, str],
    suites: str,
    waived: Collection[str],
) -> None:
    """Raise Refused if a check or gate became weaker since the last promotion, by the notes beside the lease.

    ``waived``: the names of the recorded waivers. Without a recorded promotion nothing is refused.
    """
    found = weakened(last_checks(notes) or (), checks, absent, suites)
    unsaid = [one for one in found if not {one.name, *names_of(one.name)} & set(waived)]
    if not unsaid:
        return
    first, more = unsaid[0], f", and {len(unsaid) - 1} more" if len(unsaid) > 1 else ""
    options = " ".join(f'--waive "{one.name}=REASON"' for one in unsaid[:SHOWN])
    promotion = f" ({notes[CHECKS_OF]})" if CHECKS_OF in notes else ""
    raise Refused(
        f"weaker than the last promotion{promotion}: {first.what}{more}",
        hint=f"Undo the change, or record why: {options}{' …' if len(unsaid) > SHOWN else ''}",
        where=first.gate,
    )
