"""How often the latency gate refuses a release that is not slower than live, and how often it misses a slower one.

    python benchmarks/latency_false_alarms.py [--histories 1000] [--seed N] [--recorded FILE]   simulated, seeded
    python benchmarks/latency_false_alarms.py --live 100 [--load 2] [--record FILE]             two real colours of one release
    python benchmarks/latency_false_alarms.py --live 300 --load 2 --login-passes 2 2 [--results FILE] [--seconds S]

Simulated: the gate's own rounds, looks, further measurements and limits, over generated times or over times from ``--record``.
Live: PostgreSQL, Valkey and 1.1.0 twice, beside ``--load`` processes that only use the CPU. Prints; asserts nothing.
``--login-passes LIVE CANDIDATE``: both colours hash the password of a login in the event loop, with that many passes of scrypt
of about 9 ms of CPU each: ``2 2`` is one release twice, ``2 3`` a login of 1.5 times the time. ``--results`` appends one line for each run, and
a further call with the same file goes on where the last one ended; both end after ``--seconds``. A line counts as long as neither
``verification/latency`` nor the gate's settings have changed since.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a script's path begins with its own folder

from benchmarks.busy import busy_processes
from benchmarks.ending import clean_up_on_sigterm
from deployment.settings import load
from infrastructure.description import service_of
from tests.checkout import SETTINGS_FILE
from tests.e2e.images import Fault
from tests.gates.verifying import open_bench
from verification.journeys.accounts import SmokeUser
from verification.latency import measuring as latency
from verification.latency.judge import Judge
from verification.latency.measuring import Asks, Measured, SessionPlan, measure_sessions_with, measure_with
from verification.latency.plan import AGAIN, CANDIDATE, LIVE, Kind, LatencyLimits, LatencyPlan, Operation, Place
from verification.latency.repeating import LatencyResult, judge_repeatedly, verify
from verification.statistics import failure_bounds

Draw = random.Random
SETTINGS = load(SETTINGS_FILE, "embedded")
SERVICE = service_of(SETTINGS)
GATE = SETTINGS.gates["latency"]
LIMITS = LatencyLimits.of(GATE)
TYPICAL = {"health": 0.45, "healthDatabase": 0.75, "healthRedis": 0.6, "listConsults": 1.2, "createConsult": 1.5}
SLOW_ONES = {"login": 18.0, "logout": 1.1, "readConsult": 1.1, "cancelConsult": 1.1}


class Machine:
    """The machine that both colours share: a burst of other work slows the requests during it."""

    def __init__(self, draw: Draw, sigma: float, bursts: float, drift: float) -> None:
        self.draw, self.sigma, self.bursts, self.drift = draw, sigma, bursts, drift
        self._left = 0
        self._asked = 0
        self.now_ms = 0.0
        self.core = 0  # of the measuring process
        self._factors: dict[int, tuple[float, float]] = {}

    def factor(self, core: int) -> float:
        """Return how many times as long the answers of this core take now, because of other work on it."""
        until, factor = self._factors.get(core, (-1.0, 1.0))
        if self.now_ms >= until:
            until, factor = (
                self.now_ms + self.draw.expovariate(1 / LONG_STAY_MS),
                self.draw.choice((1.0, 1.35, 1.7)),
            )
            self._factors[core] = until, factor
        return factor

    def allowed(self) -> Collection[int]:
        """Return the cores."""
        return 0, 1

    def limit(self, cores: Collection[int]) -> None:
        """Move the measuring process."""
        self.core = min(cores)

    def time(self, base: float) -> float:
        """Return the time (ms) of one answer of a service that takes ``base`` ms on an idle machine."""
        self._asked += 1
        if self._left == 0 and self.draw.random() < self.bursts:
            self._left = self.draw.randrange(20, 400)
        busy = self._left > 0
        self._left -= busy
        warm = 1 + self.drift * 2.0 ** (-self._asked / 400)
        stolen = self.draw.expovariate(1 / 4.0) if busy and self.draw.random() < 0.6 else 0.0
        return float(base * warm * self.draw.lognormvariate(0, self.sigma) + stolen)


class Colour:
    """A colour: a share ``pauses`` of answers has a collection's pause, all are ``slower`` times as slow, ``tail`` are 300 ms late."""

    def __init__(self, machine: Machine, pauses: float, slower: float = 1.0, tail: float = 0.0) -> None:
        self._machine, self._pauses, self._slower, self._tail = machine, pauses, slower, tail

    def ask(self, operation: Operation, kind: Kind) -> float:
        """Return the time (ms) of one answer."""
        base: float = {**TYPICAL, **SLOW_ONES}[operation.name] + (0.15 if kind == "fresh" else 0.0)
        draw = self._machine.draw
        late = (30.0 if draw.random() < self._pauses else 0.0) + (300.0 if draw.random() < self._tail else 0.0)
        return self._machine.time(base * self._slower) + late

    def sign_in(self) -> None:
        """Do nothing."""

    clear = sign_in

    def reconnect(self) -> None:
        """Let the pause between two sessions go by; all askers share it."""
        self._machine.now_ms += 125.0


class Placed(Colour):
    """A process that shares its core for some seconds, and then does not: what needs the CPU for longer than a slice takes longer.

    Identical code in two processes differs for as long as that, in all answers of that time. ``place`` is shared by the askers of
    one process.
    """

    def __init__(self, machine: Machine, slower: float, tail: float, place: dict[str, float]) -> None:
        super().__init__(machine, 0.0, slower, tail)
        self._place = place

    def ask(self, operation: Operation, kind: Kind) -> float:
        """Return the time (ms) of one answer."""
        machine, place = self._machine, self._place
        if machine.now_ms >= place.get("until", 0.0):
            place["until"] = machine.now_ms + machine.draw.expovariate(1 / MEAN_STAY_MS)
            place["factor"] = machine.draw.choice((1.0, 1.35, 1.7))
        took = super().ask(operation, kind) * (place["factor"] if operation.name == "login" else 1.0)
        machine.now_ms += took + 1.0
        return took


class Following(Colour):
    """A process on a core whose other work stays for minutes: all of its answers take longer for as long as that.

    If the measuring process has moved, the system moves this process to the same core half of the time.
    """

    def __init__(self, machine: Machine, slower: float, tail: float, place: dict[str, int]) -> None:
        super().__init__(machine, 0.0, slower, tail)
        self._place = place

    def ask(self, operation: Operation, kind: Kind) -> float:
        """Return the time (ms) of one answer."""
        machine, place = self._machine, self._place
        if not place:
            place.update(core=machine.draw.randrange(2), seen=machine.core)
        if place["seen"] != machine.core:
            place["seen"] = machine.core
            if machine.draw.random() < 0.5:
                place["core"] = machine.core
        took = super().ask(operation, kind) * machine.factor(place["core"])
        machine.now_ms += took + 1.0
        return took


class Recorded(Colour):
    """A colour whose times are drawn from those of real colours."""

    times: dict[str, list[float]] = {}

    def ask(self, operation: Operation, kind: Kind) -> float:
        """Return the time (ms) of one answer of either real colour: both ran the same release."""
        draw = self._machine.draw
        late = 300.0 if draw.random() < self._tail else 0.0
        return draw.choice(self.times[f"{operation.name} {kind}"]) * self._slower + late


# How long a process of `Placed` stays as it is, mean.
MEAN_STAY_MS = 2000.0
# How long a core of `Following` stays as it is, mean.
LONG_STAY_MS = 120_000.0
# The models of `Placed` and `Following`, beside the others of MODELS.
CORES, MINUTES = "shared cores", "shared cores for minutes"

PLACED: dict[str, type[Placed] | type[Following]] = {CORES: Placed, MINUTES: Following}
# name: spread of the times, share of answers that begin a burst, drift of a cold start, share of answers with garbage collection
MODELS = {
    "quiet": (0.15, 0.0, 0.0, 0.0),
    "noisy": (0.5, 0.0, 0.0, 0.0),
    "bursts of other work": (0.2, 0.005, 0.0, 0.0),
    "garbage collection": (0.2, 0.0, 0.0, 0.005),
    "warming up": (0.2, 0.0, 1.0, 0.0),
    "all of it": (0.4, 0.003, 0.5, 0.003),
    CORES: (0.2, 0.0, 0.0, 0.0),
    MINUTES: (0.2, 0.0, 0.0, 0.0),
}
RELEASES = {
    "the same": (1.0, 0.0),
    "1.2 times": (1.2, 0.0),
    "1.5 times": (1.5, 0.0),
    "2 times": (2.0, 0.0),
    "5 % + 300 ms": (1.0, 0.05),
}


def simulated(seed: int, model: str, slower: float, tail: float) -> LatencyResult:
    """Return the gate's result for one simulated history."""
    draw = Draw(seed)
    sigma, bursts, drift, pauses = MODELS.get(model, (0.0, 0.0, 0.0, 0.0))
    machine = Machine(draw, sigma, bursts, drift)
    series: dict[str, Asks] = {}
    for colour, factor, late in ((CANDIDATE, slower, tail), (LIVE, 1.0, 0.0)):
        place: dict[str, Any] = {}  # both series of a colour ask one process
        for name in (colour, AGAIN[colour]):
            if model in PLACED:
                series[name] = PLACED[model](machine, factor, late, place)
            else:
                series[name] = (Recorded if model == "recorded" else Colour)(machine, pauses, factor, late)
    askers: dict[str, Asks] = {colour: series[colour] for colour in (CANDIDATE, LIVE)}
    urls = dict.fromkeys(askers, "http://nowhere")
    plan = LatencyPlan(urls, SERVICE, SmokeUser("", ""), samples=GATE["samples"], rate=1e9)
    judge = Judge(LIMITS, plan.samples, plan.operations)

    def measured(places: Collection[Place]) -> Measured:
        looked = judge.of(places)
        return measure_with(askers, plan, places, hopeless=looked.hopeless, wanted=looked.wanted)

    def again(suspected: Collection[str], sessions: SessionPlan, judge: Judge) -> Measured:
        sessions = replace(sessions, affinity=machine)
        asks = series if sessions.controls else askers
        return measure_sessions_with(asks, plan, suspected, sessions, hopeless=judge.hopeless, wanted=judge.wanted)

    def pause(seconds: float) -> None:
        machine.now_ms += seconds * 1000

    return judge_repeatedly(measured, judge, again, compared=True, pause=pause)


def history(task: tuple[int, str, float, float]) -> tuple[bool, bool, str]:
    """Return whether the first measurement suspected the release, whether it was refused, and by which test."""
    result = simulated(*task)
    return bool(result.suspected), bool(result.findings), result.findings[0].test if result.findings else ""


def line(name: str, refused: int, count: int, more: str = "") -> str:
    """Return a line with a share and its bounds."""
    bounds = failure_bounds(refused, count, 0.95)
    return f"  {name:38} refused {refused:5}/{count} = {refused / count:7.2%} (95 %: {bounds.low:.2%} to {bounds.high:.2%}){more}"


def simulate(histories: int, seed: int, models: Collection[str]) -> None:
    """Print, for each model of noise and each release, how often it is refused."""
    latency._BETWEEN_SESSIONS_S = (0.0, 0.0)
    latency._PAUSE_S = 0.0  # the times are simulated, so no pause is needed
    alarms = total = 0
    with multiprocessing.Pool(2) as pool:
        for model in models:
            print(f"{model}, seed {seed}")
            for name, (slower, tail) in RELEASES.items():
                count = histories if name == "the same" else max(1, histories // 10)
                tasks = [(seed + n, model, slower, tail) for n in range(count)]
                found = pool.map(history, tasks, chunksize=4)
                refused = sum(one[1] for one in found)
                why = ", ".join(sorted({one[2] for one in found if one[1]}))
                print(
                    line(name, refused, count, f"; suspected at first {sum(one[0] for one in found)}; {why}"),
                    flush=True,
                )
                if name == "the same":
                    alarms, total = alarms + refused, total + count
    print(line("A against A, all models", alarms, total))


def hashing(passes: int) -> Fault:
    """Return 1.1.0 with a login that hashes in the event loop: that many passes of scrypt, of about 9 ms of CPU each."""
    waits = (
        "        fits = await loop.run_in_executor(self._threads, verify_password, stored or self._nobody, password)\n"
    )
    burns = (
        f'        __import__("hashlib").scrypt(password.encode(), salt=b"salt", n=2**12, r=8, p={passes})\n'
        "        fits = _known(stored or self._nobody, password)\n"
    )
    known = "_known = __import__('functools').lru_cache(verify_password)\n\n\nclass Passwords:"
    return Fault(
        f"hashing-{passes}", "app/passwords.py", waits, burns, (("app/passwords.py", "class Passwords:", known),)
    )


@dataclass(frozen=True)
class Live:
    """``runs`` of the gate beside ``load`` processes; the two releases' faults (None: 1.1.0 itself); when to end; two files."""

    runs: int
    load: int
    faults: tuple[Fault | None, Fault | None]
    seconds: float
    results: Path | None
    record: Path | None


def gate() -> str:
    """Return a hash of the latency gate's measurements: their modules' code and the gate's settings."""
    # suspicion.py is left out: these runs do not make its measurement.
    modules = sorted(one for one in Path(latency.__file__).parent.glob("*.py") if one.name != "suspicion.py")
    parts = [path.read_bytes() for path in modules] + [repr(sorted(GATE.items())).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:10]


def live(asked: Live) -> None:
    """Print the gate's result for two real colours, ``runs`` times in all, the lines of ``results`` included."""
    known = asked.results.read_text(encoding="utf-8").splitlines() if asked.results and asked.results.exists() else []
    names = " against ".join(fault.name if fault else "1.1.0" for fault in asked.faults)
    question = {"gate": gate(), "releases": names, "beside": asked.load}
    lines = [one for one in map(json.loads, known) if {name: one[name] for name in question} == question]
    kept: dict[str, list[float]] = defaultdict(list)
    end = time.monotonic() + asked.seconds
    with open_bench() as bench, bench.serving(asked.faults[0]) as one, bench.serving(asked.faults[1]) as other:
        user = SmokeUser(**bench.users[0])
        urls = {CANDIDATE: f"http://127.0.0.1:{other.port}", LIVE: f"http://127.0.0.1:{one.port}"}
        plan = LatencyPlan(urls, SERVICE, user, samples=GATE["samples"], rate=GATE["rate"], longest_s=GATE["longest"])
        while len(lines) < asked.runs and time.monotonic() < end:
            with busy_processes(asked.load):
                began = time.monotonic()
                result = verify(plan, LIMITS)
            for (name, kind), times in result.first.times.items():
                kept[f"{name} {kind}"] += [value for values in times.values() for value in values]
            lines.append(
                {
                    **question,
                    "seconds": round(time.monotonic() - began, 1),
                    "load": round(os.getloadavg()[0], 1),
                    "refused": [found.says for found in result.findings],
                    "suspected": [found.says for found in result.suspected],
                    "measurements": len(result.all),
                }
            )
            print(f"  {len(lines)}: {json.dumps(lines[-1])}", flush=True)
            if asked.results is not None:
                with asked.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(lines[-1]) + "\n")
    refused, suspected = (sum(bool(one[name]) for one in lines) for name in ("refused", "suspected"))
    print(line(f"{names}, {asked.load} beside it", refused, max(1, len(lines)), f"; suspected at first {suspected}"))
    if asked.record is not None:
        asked.record.write_text(json.dumps(kept), encoding="utf-8")


def main() -> None:
    """Read the options and run the simulation or the live measurement."""
    clean_up_on_sigterm()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histories", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--recorded", type=Path)
    parser.add_argument("--live", type=int)
    parser.add_argument("--load", type=int, default=0)
    parser.add_argument("--record", type=Path)
    parser.add_argument("--login-passes", type=int, nargs=2, metavar=("LIVE", "CANDIDATE"))
    parser.add_argument("--results", type=Path)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    options = parser.parse_args()
    if options.live:
        one, other = [hashing(passes) for passes in options.login_passes or ()] or (None, None)
        live(Live(options.live, options.load, (one, other), options.seconds, options.results, options.record))
        return
    if options.recorded:
        Recorded.times = json.loads(options.recorded.read_text(encoding="utf-8"))
    simulate(options.histories, options.seed, ["recorded"] if options.recorded else options.models)


if __name__ == "__main__":
    main()
