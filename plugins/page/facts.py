"""The facts of the first screen that need a computation, such as the time until the release was live; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deployment.evidence.data.details import NOT_COMPARED
from deployment.evidence.sentence import INTERRUPTED, unfinished
from plugins.page.view import absent, duration, records, short_name, timestamp, traffic_moves, waived

# Users may be without a watch for this long at the end of a run, in seconds: the report is written then.
_UNWATCHED_S = 15
# So many names stand in a list of names.
_NAMES = 5

WORDS = (
    ("candidate", "the release that the run wants to promote; it answers at an address of its own until then"),
    (
        "colour",
        "one of the two places for a release, blue and green: users go to the live one, the next release to the idle one",
    ),
    ("gate", "a group of checks; the candidate goes live only if every required gate passed"),
    (
        "incomplete, not run",
        "said of a gate: some of its checks, or all of them, did not run; the run stopped before, or could not ask them",
    ),
    ("journey", "requests that a user sends one after the other, with the answers that are expected"),
    (
        "open, proven, attested",
        "said of an item of the checklist: nothing shows it, the run shows it, a person confirmed it",
    ),
    ("advisory", "said of a gate or check: it is reported, and decides nothing"),
    (
        "waived",
        "said of a gate or check: a person decided beforehand, with a reason, that it does not stop the release",
    ),
    ("absent", "said of a gate: the service declares that it has no such part"),
    ("preflight", "what is looked at before anything is touched"),
    ("lease", "the lock of the environment: one run at a time may change it"),
    ("provision", "starting the candidate on the idle colour"),
    ("promote", "sending the users' traffic to the candidate"),
    ("live", "the step and the gate that ask through the users' own address right after the switch"),
    ("bake", "watching the users' requests for some time after the switch; harm sends the traffic back"),
    ("retire", "stopping the colour that gets no traffic after a failure"),
    ("bystander", "checks that the candidate does not disturb the live colour beside it"),
    ("continuity", "sessions and data that begin on one colour and go on with the other, in both directions"),
    ("rehearsal", "asking the candidate as the users' address will ask it"),
    ("kept, fresh", "requests on connections that stay open, and on new ones"),
    ("p50, p95, p99", "the time within which 50, 95 or 99 of 100 answers came"),
    ("times live's time", "the candidate's time to answer, divided by the time that the live colour took beside it"),
    ("by chance", "how often a test of statistics finds such a difference although there is none"),
    ("generation", "the number of the routes that send the traffic; each switch writes the next one"),
    ("users", "the numbers about users are of the prober's requests: it cannot count those of other users"),
    (
        "prober",
        "the part of the run that sends requests to the users' address, as a user would, and counts the answers",
    ),
    ("failed, error", "said of a check: an answer was wrong; or the check could not ask or judge"),
    (
        "exit codes",
        "of a run: 0 promoted, verified, or rolled back by hand; 1 rejected, 2 interrupted, 3 internal error, 4 refused, 5 no check collected, 10 rolled back, 11 rollback failed",
    ),
)
"""The words of the page and what they mean."""


VERIFICATIONS = ("verified", "failed")
"""The verdicts of a run that deploys nothing."""


def kind(data: Mapping[str, Any]) -> str:
    """Return what the page reports."""
    if data["undoes"]:
        return "Rollback report"
    return "Verification report" if data["report"]["verdict"] in VERIFICATIONS else "Deployment report"


def command(data: Mapping[str, Any]) -> Sequence[str]:
    """Return the words with which the run was started, as a user types them; empty if they are unknown.

    A run records its options alone.
    """
    options = data["command"] or ()
    return [*(("python", "scripts/deploy.py") if data["undoes"] else ("pytest",)), *options] if options else ()


def live_now(data: Mapping[str, Any]) -> str:
    """Return the live release, or as much of it as the run knows."""
    if data["live"]:
        return str(data["live"])
    if data["report"]["verdict"] == "refused":
        if recovered := records(data, "settled"):
            return f"as {recovered[-1]['deployment_id']} left it, which this run recovered"
        if data["before"]:
            return f"{data['before']}; the run touched nothing"
        return "the same release as before; the run did not ask, and touched nothing"
    if data["report"]["verdict"] in VERIFICATIONS:
        return "unchanged; the run did not ask what is live"
    switched = traffic_moves(data)
    return f"unknown; last switched to {switched[-1]['data']['colour']}" if switched else "unknown"


def left_out(data: Mapping[str, Any]) -> str | None:
    """Return which gates do not count or did not run, also if there are none; None if no gate is known."""
    gates = data["gates"]
    if not gates:
        return "no gate: a rollback by hand runs none" if data["undoes"] else None
    named = {
        "waived": [gate["name"] for gate in waived(gates)],
        "absent": [gate["name"] for gate in absent(gates)],
        "advisory": [gate["name"] for gate in gates if not gate["required"]],
        "incomplete": [gate["name"] for gate in gates if gate["outcome"] == "incomplete"],
        "not run": [gate["name"] for gate in gates if gate["outcome"] == "not_run"],
    }
    found = [f"{word}: {', '.join(names)}" for word, names in named.items() if names]
    if not found:
        return f"no gate: all {len(gates)} ran, none was waived, absent or advisory"
    return "; ".join(found) + (_why_not_run(data) if named["incomplete"] or named["not run"] else "")


def _why_not_run(data: Mapping[str, Any]) -> str:
    if unfinished(data["report"]) == INTERRUPTED:
        return " (the run was interrupted)"
    failed = any(
        gate["outcome"] in ("failed", "error") and gate["required"] and not gate["waived"] for gate in data["gates"]
    )
    return " (after a failure no further gate begins)" if failed else ""


def without_comparison(data: Mapping[str, Any]) -> str | None:
    """Return the checks that passed although they had nothing to compare with, and why; None if there are none."""
    found = [
        (f"{check['gate']}: {short_name(check['id'])}", str(value["value"]).removeprefix(NOT_COMPARED))
        for check in data["checks"]
        for value in check.get("values", ())
        if str(value["value"]).startswith(NOT_COMPARED)
    ]
    if not found:
        return None
    more = f" and {len(found) - 1:,} more" if len(found) > 1 else ""
    return f"compared nothing: {found[0][0]}{more} ({found[0][1]})"


def unchecked(data: Mapping[str, Any]) -> Sequence[str]:
    """Return the names of the preflight items that could not be checked."""
    items = data["report"].get("preflight") or ()
    return [one["name"] for one in items if one["outcome"] == "not_checked"]


def compared(data: Mapping[str, Any]) -> str:
    """Return with which promotion the run's checks were compared and the difference, or why they were not."""
    known = data["report"].get("compared_with")
    if data["undoes"]:
        return "not made: a rollback by hand runs no checks"
    if data["report"]["verdict"] in VERIFICATIONS:
        return "not made: a verification is not compared with a promotion"
    if known is None:
        return "not made: the run did not come to it"
    if known.get("checks") is None:
        return "not made: no earlier promotion is recorded that lasted"
    gone = len(next(iter(records(data, "gone")), {}).get("checks", ()))
    difference = "none of them is gone" if gone == 0 else f"{gone:,} of them {'is' if gone == 1 else 'are'} gone"
    return f"with the {known['checks']:,} checks of {known.get('promotion') or 'the last promotion'}: {difference}"


def times(data: Mapping[str, Any]) -> str | None:
    """Return how long the run took, after which time the release was live, and for how long; None if its end is unknown."""
    report = data["report"]
    if not (report.get("started_at") and report.get("finished_at")):
        return None
    begin, end = timestamp(report["started_at"]), timestamp(report["finished_at"])
    parts = [f"took {duration(max(0.0, end - begin))}"]
    switched = [(timestamp(one["time"]), one["data"]) for one in traffic_moves(data)]
    on = next((time for time, data in switched if _takes_all(data, report)), None)
    if on is not None:
        parts.append(f"live {duration(on - begin)} after its start")
        off = next((time for time, data in switched if time > on and data["colour"] != report["target"]), None)
        parts += [f"for {duration(off - on)}"] if off is not None else []
    return ", ".join(parts)


def watched(data: Mapping[str, Any]) -> tuple[str, bool] | None:
    """Return for how long users' requests were counted, and whether that was to the end of the run; None if they were not."""
    report, seen = data["report"], data["series"].get("availability")
    if seen is None or not seen["seconds"] or not report.get("finished_at"):
        return None
    counted = seen["seconds"][-1][0] + 1
    missing = timestamp(report["finished_at"]) - seen["start"] - counted
    if missing <= _UNWATCHED_S:
        return f"counted for {duration(counted)}, until the report was written", True
    why = ", until the run's process died" if report.get("recovered") else ""
    return f"Counted for {duration(counted)}{why}; nobody counted in the last {duration(missing)}.", False


def went_back(data: Mapping[str, Any]) -> str | None:
    """Return what became of a promotion that was taken back; None if none was."""
    ends = {one["name"]: one["outcome"] for one in data["report"]["steps"]}
    if "rollback" not in ends or "promote" not in ends:
        return None
    return "the release was rolled back" if ends["rollback"] == "passed" else "a rollback was tried, and failed"


def verified_by(data: Mapping[str, Any]) -> str | None:
    """Return what was asked after the traffic had gone back, and the answers; None if it did not go back."""
    ends = [one for one in records(data, "outcome") if one["step"] == "rollback"]
    if not ends or ends[-1]["outcome"] != "passed" or not ends[-1].get("detail"):
        return None
    reads = [one for line in records(data, "read_back") for one in line["reads"]]
    good = sum(one["outcome"] == "readable" for one in reads)
    read = f"; {good} of {len(reads)} requests read data that was written after the promotion" if reads else ""
    return f"after the traffic had gone back: {ends[-1]['detail']}{read}"


def groups_of_failures(failures: Sequence[Mapping[str, Any]], reason: object) -> list[dict[str, Any]]:
    """Return the first failure of each gate and message, with ``same``: the names of some others, and ``others``: how many.

    The gate that ``reason`` names comes first: its failure decided the run.
    """
    decided = str(reason).partition(":")[0]
    failures = sorted(failures, key=lambda one: one["gate"] != decided)
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for one in failures:
        found.setdefault((one["gate"], str(one.get("message") or one["id"])), []).append(one)
    return [
        {**first, "others": len(rest), "same": [one["name"] for one in rest[:_NAMES]]}
        for first, *rest in found.values()
    ]


def _takes_all(switched: Mapping[str, Any], report: Mapping[str, Any]) -> bool:
    return bool(switched["colour"] == report.get("target") and switched.get("weight", 100) == 100)


def signed_by(data: Mapping[str, Any]) -> str | None:
    """Return the fingerprint of the key that signed the run's last end; None if it is not known."""
    ends = records(data, "closed")
    named = ends[-1].get("signed_by") if ends else None
    return None if named is None else str(named)
