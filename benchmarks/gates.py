"""Every broken release of the tests and many good ones, deployed beside other work: caught, missed, false alarms.

    python benchmarks/gates.py [--good 100] [--login 20] [--broken] [--only NAME …] [--busy 2] [--seconds 280]
                               [--since 2026-11-25T20:00] [--longest 45] [--results FILE] [--table]

Whole deployments with the shipped settings on the embedded environment, beside `--busy` processes that only use the CPU. A broken
release is caught if it is rejected or rolled back, by an intended gate or by another one; a good release must be promoted. Each
result is appended to the file at once. A further call continues: it deploys the releases of `--broken` that have no result at this
commit, and good releases until there are `--good` of them at this commit. `--since` counts all results that are not older,
regardless of their commit. `--table` only prints. Exit code 1: a broken release was missed or a good one was refused.
`--login` deploys 1.1.0 with a login that takes about 20 ms of CPU in the event loop, that many times beside itself. Before them it is
deployed beside 1.0.0, with latency waived, which does not count. `--only` deploys these releases of `--broken` again.
`--longest` prints for each broken release the seconds from the start of its run to the verdict, the longest first, and lists those
above so many seconds, on which the exit code is 1 as well. It means a quiet machine: use it with `--busy 0`.
`load` in a result is the machine's load: the mean number of running processes over five minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # a script's path begins with its own folder

from benchmarks.busy import busy_processes  # noqa: E402  # the path had to be set first
from benchmarks.ending import clean_up_on_sigterm  # noqa: E402  # the path had to be set first
from benchmarks.latency_false_alarms import hashing  # noqa: E402  # the path had to be set first
from tests.e2e import images  # noqa: E402  # the path had to be set first
from tests.e2e.conftest import open_sandbox  # noqa: E402  # the path had to be set first
from tests.e2e.images import Fault, make_registry  # noqa: E402  # the path had to be set first
from tests.e2e.sandbox import CommandResult, Sandbox  # noqa: E402  # the path had to be set first
from tests.e2e.test_rejected_releases import EXPECTED  # noqa: E402  # the path had to be set first
from tests.gates.test_faults import FAULTS  # noqa: E402  # the path had to be set first
from tests.soak import tree  # noqa: E402  # the path had to be set first
from verification.statistics import failure_bounds  # noqa: E402  # the path had to be set first

RESULTS = ROOT / "benchmarks" / "results" / "gates.jsonl"
GOOD, LOGIN = "good", "good-login"
CAUGHT = {"rejected", "rolled_back"}
# The step that is timed: from the first check to the promotion or the rejection.
VERIFY = "verify"
Line = Mapping[str, Any]


@dataclass(frozen=True)
class Broken:
    """A release and the gates (or the step) that must find its fault."""

    fault: Fault
    gates: tuple[str, ...]
    alone: bool  # its changes to the database stay, so it gets its own environment


def collection() -> list[Broken]:
    """Return every broken release of tests/e2e and tests/gates that harms users behind the front door, each once."""
    found = [Broken(fault, (gate,), False) for fault, gate in EXPECTED]
    found += [Broken(fault, ("live", "bake"), False) for fault in images.ROLLED_BACK]
    found += [Broken(one.fault, one.gates, one.migrates) for one in FAULTS if not one.direct]
    return list({one.fault.name: one for one in found}.values())


def read(results: Path, since: str | None) -> list[Line]:
    """Return the results that count: those of this commit, or all that are not older than ``since``."""
    text = results.read_text(encoding="utf-8") if results.exists() else ""
    lines = [json.loads(line) for line in text.splitlines()]
    if since is not None:
        return [line for line in lines if line["at"] >= since]
    now = tree()
    return [line for line in lines if line["commit"] == now]


def deploy(sandbox: Sandbox, tag: str, release: str, meant_for: Sequence[str], options: argparse.Namespace) -> Line:
    """Deploy a release to the idle colour; append the result to the file and return it."""
    ran = sandbox.pytest("--target=auto", f"--image-tag={tag}")
    line = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": tree(),
        "release": release,
        "meant_for": list(meant_for),
        "busy": options.busy,
        "load": round(os.getloadavg()[1], 1),
        **facts(ran),
    }
    options.results.parent.mkdir(exist_ok=True)
    with options.results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    print(f"{release}: {line['verdict']} by {line['by']} after {line['verify_s']} s: {line['reason']}", flush=True)
    return line


def facts(ran: CommandResult) -> dict[str, Any]:
    """Return what a result line says of a deployment that has ended."""
    if ran.report is None:
        return {
            "verdict": "none",
            "by": "none",
            "reason": ran.output[-500:],
            "verify_s": 0.0,
            "verdict_s": ran.seconds,
            "gates": {},
            "seconds": ran.seconds,
        }
    report = ran.report
    steps = {step["name"]: step["duration_s"] for step in report["steps"]}
    return {
        "verdict": report["verdict"],
        "by": (report["reason"] or ":").partition(":")[0],
        "failed": [gate["name"] for gate in report["gates"] if gate["outcome"] in ("failed", "error")],
        "reason": (report["reason"] or "")[:400],
        "verify_s": steps.get(VERIFY, 0.0),
        "verdict_s": _to_the_verdict(ran),
        "gates": {gate["name"]: gate["duration_s"] for gate in report["gates"] if gate["outcome"] != "not_run"},
        "seconds": round(ran.seconds, 1),
    }


def _to_the_verdict(ran: CommandResult) -> float:
    """Return the seconds from the start of the run to its decision to reject or roll back, else to its end."""
    decided = [line["time"] for line in ran.journal("decided")] or [ran.facts["finished_at"]]
    began = datetime.fromisoformat(ran.facts["started_at"])
    return round((datetime.fromisoformat(decided[0]) - began).total_seconds(), 1)


@contextmanager
def environment(registry: Path) -> Iterator[Sandbox]:
    """Yield a sandbox whose environment has 1.0.0 live on blue; stop it afterwards."""
    with open_sandbox(registry) as sandbox:
        ran = sandbox.script("up")
        if ran.code != 0:
            raise SystemExit(ran.output)
        yield sandbox


def run(options: argparse.Namespace) -> None:
    """Deploy the releases that have no result yet, until the time is over."""
    end = time.monotonic() + options.seconds
    known = Counter(line["release"] for line in read(options.results, options.since))
    wanted = set(
        options.only or [one.fault.name for one in collection() if options.broken and one.fault.name not in known]
    )
    broken = [one for one in collection() if one.fault.name in wanted]
    if unknown := wanted - {one.fault.name for one in broken}:
        raise SystemExit(f"there is no broken release {', '.join(sorted(unknown))}")
    good, logins = (wish - known[name] for name, wish in ((GOOD, options.good), (LOGIN, options.login)))
    with tempfile.TemporaryDirectory(prefix="gates-") as folder, busy_processes(options.busy):
        Path(folder).chmod(0o755)
        slow_login = hashing(2)
        registry = make_registry(Path(folder, "registry"), [slow_login, *(one.fault for one in broken)])
        for one in (one for one in broken if one.alone and time.monotonic() < end):
            with environment(registry) as sandbox:
                deploy(sandbox, one.fault.tag, one.fault.name, one.gates, options)
        if logins > 0 and time.monotonic() < end:
            with environment(registry) as sandbox:
                first = "--waive=latency=live has another login"
                sandbox.pytest("--target=auto", f"--image-tag={slow_login.tag}", first)
                _good(sandbox, slow_login.tag, LOGIN, logins, end, options)
        together = [one for one in broken if not one.alone]
        if time.monotonic() > end or not (together or good > 0):
            return
        with environment(registry) as sandbox:
            for one in together:
                if time.monotonic() > end:
                    return
                deploy(sandbox, one.fault.tag, one.fault.name, one.gates, options)
            _good(sandbox, images.NEW, GOOD, good, end, options)


def _good(sandbox: Sandbox, tag: str, name: str, count: int, end: float, options: argparse.Namespace) -> None:
    """Deploy a good release so many times, until ``end`` (monotonic clock)."""
    for _ in range(count):
        if time.monotonic() > end:
            return
        deploy(sandbox, tag, name, (), options)


def table(lines: Sequence[Line]) -> bool:
    """Print caught, missed and false alarms by gate, with bounds, and the seconds to the verdict.

    Return whether no broken release was missed and no good one refused.
    """
    good = [line for line in lines if not line["meant_for"]]
    last = {line["release"]: line for line in lines if line["meant_for"]}
    by_gate: dict[str, Counter[str]] = defaultdict(Counter)
    for line in last.values():
        found = [gate for gate in line["meant_for"] if gate in (line["by"], *line.get("failed", ()))]
        gate = (found or line["meant_for"])[0]
        by_gate[gate]["caught" if line["verdict"] in CAUGHT else "missed"] += 1
        by_gate[gate]["elsewhere"] += line["verdict"] in CAUGHT and not found
    for line in good:
        by_gate[line["by"]]["false alarms"] += line["verdict"] != "promoted"
    print(
        f"{'gate':12} {'caught':>7} {'of them elsewhere':>18} {'missed':>7} {'false alarms':>13}  of {len(good)} good deployments"
    )
    for gate, counts in sorted(by_gate.items()):
        if gate:
            alarms = counts["false alarms"]
            bound = failure_bounds(alarms, len(good), 0.90).high
            print(
                f"{gate:12} {counts['caught']:7} {counts['elsewhere']:18} {counts['missed']:7} {alarms:13}  95 %: at most {bound:.1%}"
            )
    missed = sum(line["verdict"] not in CAUGHT for line in last.values())
    alarms = sum(line["verdict"] != "promoted" for line in good)
    for name, count, of in (("missed", missed, len(last)), ("false alarms", alarms, len(good))):
        if of:
            print(f"{name}: {count} of {of}, 95 %: at most {failure_bounds(count, of, 0.90).high:.1%}")
    for name, some in (("good", good), ("broken", list(last.values()))):
        seconds = sorted(line["verify_s"] for line in some if line["verify_s"])
        if seconds:
            print(
                f"seconds from the first check to the verdict, {name}: {seconds[0]:.1f} / {median(seconds):.1f} / {seconds[-1]:.1f}"
            )
    loads = sorted(line["load"] for line in [*last.values(), *good] if "load" in line)
    if loads:
        print(f"load of the machine: {loads[0]} / {median(loads)} / {loads[-1]} on {os.cpu_count()} cores")
    print(
        "commits: " + ", ".join(sorted({f"{line['commit']} ({line['at'][:10]})" for line in [*last.values(), *good]}))
    )
    return missed == alarms == 0


def times(lines: Sequence[Line], longest: float) -> bool:
    """Print the seconds to the verdict of each broken release; return whether there are any and none took longer than ``longest``."""
    last = {line["release"]: line for line in lines if line["meant_for"] and "verdict_s" in line}
    slowest_first = sorted(last.values(), key=lambda line: -float(line["verdict_s"]))
    for line in slowest_first:
        print(f"{line['verdict_s']:7.1f} s  {line['release']}: {line['verdict']} by {line['by']}")
    above = [line["release"] for line in slowest_first if line["verdict_s"] > longest]
    print(f"above {longest:g} s: {len(above)} of {len(last)}{': ' if above else ''}{', '.join(above)}")
    return bool(last) and not above


def main() -> None:
    """Read the options, deploy, and print the table."""
    clean_up_on_sigterm()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--good", type=int, default=0)
    parser.add_argument("--login", type=int, default=0)
    parser.add_argument("--broken", action="store_true")
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--busy", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=280.0)
    parser.add_argument("--since")
    parser.add_argument("--longest", type=float)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if not options.table:
        run(options)
    lines = read(options.results, options.since)
    good = table(lines)
    if options.longest is not None:
        good = times(lines, options.longest) and good
    if not good:
        sys.exit(1)


if __name__ == "__main__":
    main()
