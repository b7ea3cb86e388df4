"""What the page shows, computed from the content of ``data.json``; pure. The templates only place it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from deployment.evidence.sentence import INTERRUPTED, unfinished

_MOVES_BACK = ("rollback", "retire")
WORDS = {"promoted": "good", "verified": "good", "refused": "neutral"}
"""The mood of the banner by verdict; every other verdict is bad. A rollback by hand that worked is good, an interrupted run neutral."""
MARKS = {
    "passed": "✓",
    "failed": "✗",
    "error": "✗",
    "inconclusive": "✗",
    "absent": "-",
    "incomplete": "…",
    "not_run": "·",
}
BAD = ("failed", "error", "inconclusive")
_COMMAND = re.compile(r"(?:E\s)?\s*(?:again:\s*(?P<labelled>\S.*)|(?P<plain>(?:curl|python|psql|redis-cli) .*))$")
# The picture of the steps: its width and the width of the names, in the units of its viewBox.
_WIDTH, _NAMES, _ROW, _LABEL, _LETTER = 960, 90, 20, 130, 7


@dataclass(frozen=True)
class Bar:
    """One step of the picture; ``x`` and ``width`` in the units of the viewBox."""

    name: str
    outcome: str
    x: float
    width: float
    y: float
    seconds: float

    @property
    def label(self) -> str:
        """Where the label is: ``after`` the bar, or, if it would leave the picture, ``inside`` at its end or ``before`` it."""
        if self.x + self.width < _WIDTH - _LABEL:
            return "after"
        return "inside" if self.width > _LABEL else "before"

    @property
    def label_x(self) -> float:
        """Where the label begins, or ends if it is not after the bar."""
        return {"after": self.x + self.width + 6, "inside": self.x + self.width - 6, "before": self.x - 6}[self.label]


@dataclass(frozen=True)
class Switch:
    """One switch of the traffic; ``label_x`` is the middle of its label, ``y`` the label's row below the bars."""

    x: float
    label_x: float
    y: float
    label: str


@dataclass(frozen=True)
class Steps:
    """The picture of the steps in time: bars, the moments of the switches, and its size."""

    bars: Sequence[Bar]
    switches: Sequence[Switch]
    ticks: Sequence[tuple[float, str]]
    rows_end: int
    height: int
    width: int = _WIDTH


def uncompared(report: Mapping[str, Any]) -> bool:
    """Return whether parts do not count and it is not known whether they counted before."""
    weaker = "exempt" in report or any(gate["outcome"] == "absent" for gate in report["gates"])
    return weaker and report.get("compared_with", {"checks": 0})["checks"] is None


def mood(data: Mapping[str, Any]) -> str:
    """Return the mood of the verdict: good, bad or neutral."""
    report = data["report"]
    if data["undoes"] and report["exit_code"] == 0:
        return "good"
    if unfinished(report) == INTERRUPTED:
        return "neutral"
    return WORDS.get(str(report["verdict"]), "bad")


def steps(data: Mapping[str, Any]) -> Steps | None:
    """Return the picture of the steps; None for a run without steps."""
    found = [(one, timestamp(one["started_at"])) for one in data["report"]["steps"] if one.get("started_at")]
    if not found:
        return None
    opened = data["report"].get("started_at")
    begin = min([*(start for _, start in found), *([timestamp(opened)] if opened else [])])
    whole = max(max(start + (one["duration_s"] or 0) for one, start in found) - begin, 0.001)
    scale = (_WIDTH - _NAMES - 10) / whole
    cut = unfinished(data["report"]) == INTERRUPTED
    bars = [
        Bar(
            one["name"],
            "interrupted" if cut and one["outcome"] == "failed" and one["name"] not in _MOVES_BACK else one["outcome"],
            round(_NAMES + (start - begin) * scale, 1),
            round(max((one["duration_s"] or 0) * scale, 2), 1),
            number * _ROW + 2,
            one["duration_s"] or 0,
        )
        for number, (one, start) in enumerate(found)
    ]
    switched = [
        (round(_NAMES + (timestamp(one["time"]) - begin) * scale, 1), _switch_words(one["data"]))
        for one in traffic_moves(data)
        if begin <= timestamp(one["time"]) <= begin + whole
    ]
    step = _tick(whole)
    ticks = [(round(_NAMES + n * step * scale, 1), duration(n * step)) for n in range(int(whole / step) + 1)]
    end = len(bars) * _ROW + 4
    switches = _in_rows(switched, end + 6)
    height = max([end, *(one.y + 10 for one in switches)]) + 20
    return Steps(bars, switches, ticks, end, round(height))


def traffic_moves(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the journal's lines about switches of the traffic that were seen to work, oldest first.

    A promotion writes ``switched``. A rollback writes ``writing``, and its step passes once users' answers come from there.
    """
    found, written, known = [], None, set()
    for one in data["journal"]:
        if one["kind"] == "switched":
            found.append(one)
            known.add(one["data"].get("generation"))
        elif one["kind"] == "writing":
            written = one
        elif _went_back(one) and written is not None and written["data"].get("generation") not in known:
            found.append(written)
    return found


def _went_back(line: Mapping[str, Any]) -> bool:
    data = line["data"]
    return line["kind"] == "outcome" and (data["step"], data["outcome"]) == ("rollback", "passed")


def _in_rows(switched: Sequence[tuple[float, str]], first: float) -> list[Switch]:
    """Return the switches with their labels in rows below ``first``, so that no label covers another one."""
    ends: list[float] = []
    found = []
    for x, label in switched:
        half = len(label) * _LETTER / 2
        middle = min(x, _WIDTH - half)
        row = next((n for n, end in enumerate(ends) if end < middle - half), len(ends))
        ends[row:] = [middle + half, *ends[row + 1 :]]
        found.append(Switch(x, middle, first + row * 16, label))
    return found


def _switch_words(data: Mapping[str, Any]) -> str:
    weight = data.get("weight", 100)
    return f"{'' if weight == 100 else f'{weight} % of '}traffic to {data['colour']}"


def _tick(whole: float) -> float:
    """Return the distance of the time axis's marks in seconds: at most eight of them."""
    sizes = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)
    return next((size for size in sizes if whole / size <= 8), 86400)


def timestamp(time: Any) -> float:
    """Return a time of the report as seconds since 1970."""
    return datetime.fromisoformat(str(time)).timestamp()


def duration(seconds: float) -> str:
    """Return a duration in words: ``40 ms``, ``0.4 s``, ``48 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if 0 < seconds < 0.1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def users(data: Mapping[str, Any]) -> str | None:
    """Return in one sentence how many requests of users failed; None if no traffic was watched."""
    report, seen = data["report"], data["series"].get("availability")
    if seen is not None:
        failed = sum(second[2] for second in seen["seconds"])
        total = sum(second[1] + second[2] for second in seen["seconds"])
        gap = f"; longest gap without an answer {seen['longest_gap_ms']:.0f} ms" if total else ""
        return f"{failed:,} of {total:,} requests to the live domain failed{gap}"
    parts = [(word, report[word]) for word in ("promotion", "rollback") if report.get(word)]
    if not parts:
        return None
    return "; ".join(
        f"{part['failed']:,} of {part['requests']:,} requests failed at the {word}" for word, part in parts
    )


def failed_requests(data: Mapping[str, Any]) -> tuple[int, list[Mapping[str, Any]]]:
    """Return how many requests of users failed, and the first of them, each with its ``time`` in UTC."""
    found = data["series"].get("failed_requests", {"count": 0, "first": []})
    return found["count"], [
        {**one, "time": datetime.fromtimestamp(one["at"], UTC).strftime("%H:%M:%S.%f")[:-3]} for one in found["first"]
    ]


def groups(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the gates with their checks: those that did not pass come first."""
    named = {gate["name"]: {**gate, "rows": []} for gate in data["gates"]}
    for check in data["checks"]:
        gate = named.setdefault(check["gate"], {"name": check["gate"], "outcome": "", "checks": 0, "rows": []})
        gate["rows"].append({**check, "name": short_name(check["id"]), "text": row_text(check)})
    for gate in named.values():
        for row in gate["rows"]:
            if row["outcome"] == "not_run" and gate["outcome"] == "failed" and not gate["failed"]:
                row["text"] = f"it was not asked any more when its gate failed: {gate['reason']}"
        gate["rows"].sort(key=lambda row: (row["outcome"] not in BAD, row["outcome"] == "passed"))
    return list(named.values())


def row_text(check: Mapping[str, Any]) -> str:
    """Return a check's line after its name: its duration, its requests and its values beside their limits."""
    parts = [f"{check['duration_s']:.2f} s"] if "duration_s" in check else []
    if check.get("requests"):
        parts.append(f"{check['requests']} request{'s' if check['requests'] != 1 else ''}")
    parts += [value_text(value) for value in check.get("values", ())]
    if check.get("message"):
        parts.append(str(check["message"]))
    return " · ".join(parts)


def value_text(value: Mapping[str, Any]) -> str:
    """Return a measured value beside its limit and its number of samples."""
    unit = f" {value['unit']}" if value.get("unit") else ""
    limit = f", limit {value['limit']}{unit}" if value.get("limit") is not None else ""
    samples = f", {value['samples']} samples" if value.get("samples") is not None else ""
    return f"{value['name']}: {value['value']}{unit}{limit}{samples}"


def gate_text(gate: Mapping[str, Any]) -> str:
    """Return a gate's outcome in the strip beside its mark: ``5 of 5``, ``2 of 8 failed, waived``, ``incomplete, 4 of 6 ran``."""
    checks, failed = gate["checks"], gate.get("failed", 0)
    word = "" if gate["outcome"] in ("passed", "not_run") else " ran"
    count = f"{failed:,} of {checks:,} failed" if failed else f"{gate.get('ran', checks):,} of {checks:,}{word}"
    said = gate["outcome"] == "passed" or (failed and gate["outcome"] == "failed")
    outcome = "" if said else gate["outcome"].replace("_", " ")
    parts = [outcome, count if checks else ""]
    parts += ["waived" if gate.get("waived") else "", "" if gate["required"] else "advisory"]
    return ", ".join(part for part in parts if part)


def ran(data: Mapping[str, Any]) -> bool:
    """Return whether there is a check or a gate to show: a refused run has neither, although it may have collected checks."""
    refused = data["report"]["verdict"] == "refused"
    return bool(data["checks"] and not refused) or any(gate["outcome"] != "not_run" for gate in data["gates"])


def short_name(check: str) -> str:
    """Return a check's id without ``suites/`` and without the part that its gate's heading already says."""
    return re.sub(r"^(suites/)?(service\.yaml::[^:]+::)?", "", check)


def failures(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the checks that did not pass, each with the commands that repeat it."""
    bad = [check for check in data["checks"] if check["outcome"] in BAD]
    return [
        {**check, "name": short_name(check["id"]), "measured": check.get("values", ()), "commands": commands(check)}
        for check in bad
    ]


def commands(check: Mapping[str, Any]) -> list[str]:
    """Return the commands that a failure's text names, each once, and the one that runs the check alone."""
    found = (_COMMAND.match(line) for line in str(check.get("detail", "")).splitlines())
    named = (one["labelled"] or one["plain"] for one in found if one)
    return [*dict.fromkeys(named), f"pytest --base-url=URL {shlex.quote(check['id'])}"]


def coverage(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each answer that the contract documents, with the names of the checks that met it."""
    found = data["coverage"] or {}
    met = found.get("met", {})
    return [
        {"answer": answer, "checks": [short_name(check) for check in met.get(answer, ())]}
        for answer in found.get("documented", ())
    ]


def records(data: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    """Return the data of the journal's lines of a kind."""
    return [one["data"] for one in data["journal"] if one["kind"] == kind]


def warnings(data: Mapping[str, Any]) -> list[Mapping[str, str]]:
    """Return each text of a warning once, as ``text``, with the names of the gates that gave it, as ``gates``."""
    gates: dict[str, dict[str, None]] = {}
    for one in records(data, "warning"):
        gates.setdefault(one["text"], {})[one["gate"]] = None
    return [{"gates": ", ".join(names), "text": text} for text, names in gates.items()]


def waived(gates: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the gates that were waived."""
    return [gate for gate in gates if gate.get("waived")]


def absent(gates: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the gates that the service declares absent."""
    return [gate for gate in gates if gate["outcome"] == "absent"]
