"""The verdict of a run in one sentence and its next step, from its report."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from deployment.evidence.journal import Record, last_data
from deployment.model import UNRECORDED as UNRECORDED_REASON
from deployment.model import Reason

SENTENCES = {
    "promoted": "PROMOTED: {image} is live on {target} in {environment}; {gates} required gate passed and the bake saw no harm.",
    "rejected": "REJECTED: {image} was not promoted; live traffic never moved.",
    "rolled_back": "ROLLED BACK: {image} had been promoted to {target}; {live} is live again and verified.",
    "rollback_failed": "ROLLBACK FAILED: the live state of {environment} is unknown or wrong. A person must act now.",
    "refused": "REFUSED: nothing was touched.",
    "verified": "VERIFIED: every {checks} that ran has passed.",
    "failed": "FAILED: the verification did not pass.",
}

INTERRUPTED, INTERNAL_ERROR = "INTERRUPTED", "INTERNAL ERROR"
_INTERNAL = 3
BAD_OUTCOMES = ("failed", "error", "inconclusive")
"""The outcomes of checks that reported a result and did not pass."""
# A suggested command that works on one environment, and does not name it.
_SUGGESTED = re.compile(
    r"python scripts/deploy\.py (?:up|deploy|status|check|recover|rollback|retire|unlock|approve|attest)\b"
    r"(?![^`\n]*--environment)"
)

FROZEN = (
    "FROZEN: {image} failed after the switch and its migration is irreversible; traffic was left on {target}. "
    "A person must act now."
)
FROZEN_ELSEWHERE = (
    "FROZEN: {image} failed and its migration is irreversible; traffic goes to {shares}, and users may have met the release. "
    "A person must act now."
)
IN_PART = (
    "ROLLED BACK: {image} had received traffic on {target} and was not promoted; {live} is live again and verified."
)
KEPT = "KEPT: {image} was not rolled back: a person left traffic on {live} ({reason}). The lock is free."
ELSEWHERE = (
    "REJECTED: {image} was not promoted; this run moved no traffic, but somebody else did: it goes to {shares} now."
)
AFTER_RECOVERY = {
    "refused": "REFUSED: no deployment was begun, but before that the run recovered {deployment_id}: {ended}.",
    "rejected": "REJECTED: {image} was not promoted and moved no traffic; before that, the run recovered {deployment_id}: {ended}.",
}
"""The verdicts of a run that had recovered an interrupted one, which may have moved traffic."""
ENDED = {
    "rolled_back": "rolled back",
    "rollback_failed": "its rollback failed, and a person must act now",
    "rejected": "it had not been promoted",
}
"""How the recovered run ended."""
UNRECORDED = (
    "NOT RECORDED: {image} is live on {target} in {environment} and its bake saw no harm, but the lock's table did not take "
    "the result. A person must act now."
)
NEXT = {
    "rollback_failed": "See docs/roll-back-by-hand.md; `python scripts/deploy.py status{named}` shows where traffic goes, "
    "`python scripts/deploy.py recover{named}` tries again.",
    "frozen": "Fix it forward: `python scripts/deploy.py recover{named} --keep-live REASON` releases the lock once the live "
    "colour is healthy, then deploy the fix. Or roll back anyway: "
    "`python scripts/deploy.py recover{named} --allow-irreversible REASON`. See docs/roll-back-by-hand.md.",
    "unrecorded": "As soon as the table answers, run `python scripts/deploy.py recover{named}` on this machine: its journal "
    "shows that the bake passed, so the promotion becomes final. From another machine, `recover` and the next deployment "
    "move traffic back; `python scripts/deploy.py recover{named} --keep-live REASON` leaves it where it is.",
}
"""The next step for a person; ``{named}`` is the option that names the environment."""


def sentence(report: Mapping[str, Any], live: str | None = None, records: Sequence[Record] = ()) -> str:
    """Return the verdict as one sentence. ``live``: the live release after the run, if it is known; ``records``: the run's journal."""
    words = {key: report.get(key) or "the release" for key in ("image", "target", "environment")}
    if special := _special(report, words, records):
        return special
    words["live"] = f"{live}," if live and ", " in live else live or "the previous colour"
    gates: Sequence[Mapping[str, Any]] = report["gates"]
    waived = [gate["name"] for gate in gates if gate["waived"] and gate["outcome"] != "passed"]
    words["gates"] = f"{', '.join(waived)} did NOT pass and was waived, every other" if waived else "every"
    words["checks"] = "required gate" if advisories(gates) else "required check" if exemptions(report) else "check"
    return _template(report).format(**words)


def _template(report: Mapping[str, Any]) -> str:
    if is_frozen(report):
        return FROZEN
    if is_unrecorded(report):
        return UNRECORDED
    switched = all(step["outcome"] == "passed" for step in report.get("steps", ()) if step["name"] == "promote")
    return SENTENCES[report["verdict"]] if switched or report["verdict"] != "rolled_back" else IN_PART


def _special(report: Mapping[str, Any], words: Mapping[str, str], records: Sequence[Record]) -> str | None:
    """Return the sentence of a run whose journal says more than its verdict; None for any other run."""
    verdict = str(report["verdict"])
    kept, frozen, moved, settled = (
        last_data(records, kind) for kind in ("kept", "frozen", "moved_elsewhere", "settled")
    )
    if kept and verdict == "rollback_failed":
        return KEPT.format(**{**words, "live": kept["live"], "reason": kept["reason"]})
    # Journals of earlier versions do not say where traffic went.
    if is_frozen(report) and "weights" in frozen and frozen["weights"] != {report["target"]: 100}:
        return FROZEN_ELSEWHERE.format(**words, shares=shares_words(frozen["weights"] or {}))
    if moved and verdict == "rejected":
        return ELSEWHERE.format(**words, shares=shares_words(moved["weights"]))
    if settled and verdict in AFTER_RECOVERY:
        ended = ENDED.get(str(settled["verdict"]), str(settled["verdict"]))
        return AFTER_RECOVERY[verdict].format(**words, deployment_id=settled["deployment_id"], ended=ended)
    return None


def shares_words(weights: Mapping[str, int]) -> str:
    """Return the colours with their shares of the traffic; a colour alone has no share beside it."""
    shares = {colour: weight for colour, weight in weights.items() if weight}
    if len(shares) < 2:
        return next(iter(shares), "an unknown colour")
    return " and ".join(f"{colour} ({weight} %)" for colour, weight in shares.items())


def unfinished(report: Mapping[str, Any]) -> str | None:
    """Return INTERRUPTED or INTERNAL_ERROR if that ended the run, and not a fault of the release; None otherwise.

    The verdict is the same as of a bad release, because neither was promoted.
    """
    if report["verdict"] not in ("rejected", "rolled_back", "failed"):
        return None
    reason = Reason.parse(str(report.get("reason")))
    if reason.cut_short:
        return INTERRUPTED
    failed = {gate["name"] for gate in report.get("gates", ()) if gate["outcome"] in ("failed", "error")}
    return INTERNAL_ERROR if report["exit_code"] == _INTERNAL and reason.where not in failed else None


def headline(data: Mapping[str, Any]) -> str:
    """Return the sentence of ``data.json`` as a person reads it: a run that was cut short does not say that its release failed.

    ``sentence`` in the data names the verdict, and stays as it was signed.
    """
    report, word = data["report"], unfinished(data["report"])
    if word is None or data["undoes"]:
        return str(data["sentence"])
    said = str(data["sentence"]).partition(": ")[2]
    if report["verdict"] == "failed":
        said = "the verification did not finish."
    failed = [f"{name} ({count})" for name, count in _failed_checks(data).items() if count]
    # A process that died may not have written its last results.
    none = "No failed check was recorded." if report["recovered"] else "No check had failed."
    found = f"Checks had failed before, in {', '.join(failed)}." if failed else none
    return f"{word}: {said} {found}"


def _failed_checks(data: Mapping[str, Any]) -> Mapping[str, int]:
    """Return how many checks of each gate did not pass: by the gates, or by the checks' own results, whichever are more.

    A run that died has results that its gates do not count yet.
    """
    exempt = {one["check"] for one in data["report"].get("exempt", ())}
    bad = [one for one in data["checks"] if one["outcome"] in BAD_OUTCOMES and one["id"] not in exempt]
    return {
        gate["name"]: max(gate["failed"], sum(one["gate"] == gate["name"] for one in bad))
        for gate in data["report"]["gates"]
    }


def live_before(records: Sequence[Record]) -> Mapping[str, Any]:
    """Return what was live before the run: ``colour``, ``version``, ``digest``, and if they are known ``image`` and ``problem``.

    Journals of earlier versions have only the sentence of the step ``lease``, which is returned as ``text``. Empty if the run
    did not come that far.
    """
    for one in records:
        lease = one.kind == "outcome" and one.data.get("step") == "lease" and one.data.get("outcome") == "passed"
        if live := one.data.get("live") if lease or one.kind == "live_before" else None:
            return dict(live)
        if lease and (detail := one.data.get("detail")):
            return {"text": str(detail).replace(" is live and healthy on ", ", version ", 1)}
    return {}


def live_words(live: Mapping[str, Any]) -> str | None:
    """Return the release and the colour of ``live_before``; None if it is empty."""
    if not live:
        return None
    if live.keys() == {"colour"}:
        return f"{live['colour']} (the run did not read its version)"
    release = live.get("image") or (f"version {live['version']}" if live.get("version") else live.get("digest"))
    return str(live.get("text") or f"{live['colour']}, {release or 'a release of unknown version'}")


def live_after(
    report: Mapping[str, Any], before: Mapping[str, Any], undoes: str | None = None, records: Sequence[Record] = ()
) -> str | None:
    """Return what is live after the run, as far as its journal shows it. ``undoes``: the promotion that the run undoes."""
    if moved := last_data(records, "moved_elsewhere"):
        return f"{shares_words(moved['weights'])}, moved by somebody else"
    if is_unrecorded(report):
        return f"{report['image']} on {report['target']}"
    if report["verdict"] == "rollback_failed":
        kept, frozen = last_data(records, "kept"), last_data(records, "frozen")
        return str(kept["live"]) if kept else shares_words(frozen["weights"]) if frozen.get("weights") else None
    match report["verdict"]:
        case "rolled_back" if undoes:
            return f"{report['image'] or 'the previous release'} on {report['target']}"
        case "promoted":
            return f"{report['image']} on {report['target']}"
        case "rejected" | "rolled_back":
            return live_words(before)
        case "verified" | "failed" if report["target"]:  # of the live release: an address has no colour
            return f"{report['image'] or report['digest'] or 'a release of unknown version'} on {report['target']}"
    return None


def advisories(gates: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each gate that is not required and did not pass: it decides nothing, but hides nothing either.

    ``gates`` are a report's gates; ``reason`` is added if they have it.
    """
    found = []
    for gate in gates:
        too_small = gate["outcome"] == "not_run" and gate.get("ran", 0) > 0  # fewer checks than min_checks
        if not gate["required"] and (gate["outcome"] in ("failed", "error") or too_small):
            count = "" if too_small else f" ({gate['failed']} of {gate['checks']} checks)"
            reason = f": {gate['reason']}" if gate.get("reason") else ""
            found.append(f"gate {gate['name']} is not required and did not pass{count}{reason}")
    return found


def exemptions(report: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each advisory check that did not pass, and for each skipped one: none of them decided anything."""
    return [sentence for one in report.get("exempt", ()) if (sentence := _exemption(one)) is not None]


def _exemption(one: Mapping[str, Any]) -> str | None:
    waived = f" (waived: {one['waived']})" if one["waived"] else ""
    if one["severity"] == "skipped":
        return f"check {one['check']} is skipped until {one['until']}: {one['reason']}{waived}"
    if one["outcome"] not in ("passed", "not_run"):
        return f"advisory check {one['check']} did not pass{waived}: {one['message'] or one['outcome']}"
    return f"check {one['check']} is advisory{waived}" if waived else None


def next_step(report: Mapping[str, Any], records: Sequence[Record] = ()) -> str | None:
    """Return what a person must do after this verdict; None if nothing, or if a person has decided already."""
    if last_data(records, "kept"):
        return None
    text = NEXT.get(
        "frozen" if is_frozen(report) else "unrecorded" if is_unrecorded(report) else str(report["verdict"])
    )
    return text and text.format(named=in_environment(report["environment"]))


def in_environment(name: str | None) -> str:
    """Return the option of a command that names this environment; without it the command works on the default one."""
    return f" --environment {name}" if name else ""


def name_environment(text: str, name: str | None) -> str:
    """Return a text in which each suggested command names the environment, unless it names one already."""
    return text if name is None else _SUGGESTED.sub(lambda found: found[0] + in_environment(name), text)


def is_frozen(report: Mapping[str, Any]) -> bool:
    """Return whether the deployment was halted because its release's migration is irreversible."""
    return report["verdict"] == "rollback_failed" and "; frozen: " in str(report["reason"])


def is_unrecorded(report: Mapping[str, Any]) -> bool:
    """Return whether the deployment was halted because the lock's table did not take the result of its bake."""
    reason = Reason.parse(str(report["reason"]))
    return report["verdict"] == "rollback_failed" and reason.text.startswith(UNRECORDED_REASON)


def undo_sentence(report: Mapping[str, Any], undoes: str) -> str:
    """Return the verdict of ``rollback`` in one sentence."""
    release = f"{report['image'] or 'the previous release'} on {report['target']}"
    return {
        "rolled_back": f"ROLLED BACK: the promotion {undoes} was undone; {release} is live again and verified.",
        "rejected": f"NOT ROLLED BACK: the promotion {undoes} stands; traffic was not moved back to {release}.",
    }.get(str(report["verdict"]), sentence(report))
