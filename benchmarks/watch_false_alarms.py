"""How often the watch after a switch would roll back a good release, and how soon a bad one: simulated histories, seeded.

Run: ``python benchmarks/watch_false_alarms.py [--histories N] [--seed N]``. Prints a table; asserts nothing.

Each history is one deployment: 20 s of the old colour before the switch, then the bake, at the live domain and, at a fifth of
the rate (twice a second at least), at the previous colour's own address. The noise is that of a machine with other processes:
latencies with a long tail, and spells in which both the release and the previous colour are several times as slow. In one model
each of them has its own spells, as if the scheduler slowed one process and not the other.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from verification.prober.samples import ConnectionKind, Sample
from verification.statistics import failure_bounds
from verification.watch.baseline import baseline
from verification.watch.candidate_watch import CandidateWatch, Side
from verification.watch.slowness import SlowLimits
from verification.watch.watch import WatchLimits

BEFORE_S = 20.0
OPERATIONS = {"health": 2.0, "listConsults": 4.0, "createConsult": 6.0, "readConsult": 4.0, "cancelConsult": 6.0}
BLUE, GREEN = Side("blue", "1.0.0"), Side("green", "1.1.0")
Draw = random.Random


@dataclass(frozen=True)
class Noise:
    """``sigma`` of the log of a latency; ``spells`` a second, each of ``spell_s`` s on average and up to ``times`` as slow."""

    sigma: float = 0.5
    spells: float = 0.0
    spell_s: float = 1.0
    times: float = 8.0
    together: bool = True


QUIET = Noise()
LOADED = Noise(0.8, spells=0.15, spell_s=1.5)
SWAMPED = Noise(1.0, spells=0.1, spell_s=8.0, times=20.0)
APART = Noise(0.8, spells=0.15, spell_s=0.6, together=False)


@dataclass(frozen=True)
class Release:
    """``fails``: the share of requests that fail; ``times``: the factor of its latency; both from ``after`` s after the switch.

    ``alone``: the previous colour gives no good answer from the switch on, so the release's own limits decide.
    """

    name: str
    good: bool
    fails: float = 0.0
    times: float = 1.0
    noise: Noise = QUIET
    after: float = 0.0
    alone: bool = False


RELEASES = (
    Release("a quiet machine", True),
    Release("0.1 % failures", True, 0.001, noise=LOADED),
    Release("0.5 % failures", True, 0.005, noise=LOADED),
    Release("a loaded machine", True, noise=LOADED),
    Release("a swamped machine", True, noise=SWAMPED),
    Release("spells of one process alone", True, noise=APART),
    Release("1.3 times as slow, loaded", True, times=1.3, noise=LOADED),
    Release("a quiet machine, no control", True, alone=True),
    Release("a loaded machine, no control", True, noise=LOADED, alone=True),
    Release("a swamped machine, no control", True, noise=SWAMPED, alone=True),
    Release("3 % failures", False, 0.03),
    Release("5 % failures", False, 0.05),
    Release("20 % failures", False, 0.20),
    Release("everything fails from 5 s on", False, 1.0, after=5.0),
    Release("5 times as slow", False, times=5.0),
    Release("5 times as slow, loaded", False, times=5.0, noise=LOADED),
    Release("5 times as slow from 3 s on", False, times=5.0, after=3.0),
    Release("5 times as slow from 3 s on, no control", False, times=5.0, after=3.0, alone=True),
)


class Machine:
    """The machine's slowness at a moment: a factor, 1 between two spells."""

    def __init__(self, draw: Draw, noise: Noise, seconds: float) -> None:
        self.spells: list[tuple[float, float, float]] = []
        moment = draw.expovariate(noise.spells) if noise.spells else seconds
        while moment < seconds:
            length = draw.expovariate(1 / noise.spell_s)
            self.spells.append((moment, moment + length, draw.uniform(1.0, noise.times)))
            moment += length + draw.expovariate(noise.spells)

    def times(self, moment: float) -> float:
        return max((times for begin, end, times in self.spells if begin <= moment < end), default=1.0)


def answers(draw: Draw, release: Release, machine: Machine, seconds: float, rate: float) -> Iterator[Sample]:
    """Yield the answers of one address in the order of sending; green answers from BEFORE_S on.

    A bad release's ``fails`` and every release's ``times`` apply from ``after`` s later; a good one's ``fails`` always apply.
    """
    operations = cycle(
        ("health", "listConsults", "createConsult", "health", "readConsult", "listConsults", "cancelConsult")
    )
    for n in range(int(seconds * rate)):
        at, operation = n / rate, next(operations)
        bad = at >= BEFORE_S + release.after
        failed = draw.random() < (release.fails if bad or release.good else 0.0)
        times = (release.times if bad else 1.0) * machine.times(at)
        took = OPERATIONS[operation] * times * draw.lognormvariate(0, release.noise.sigma) / 1000
        kind: ConnectionKind = "fresh" if n // 7 % 2 else "kept"
        colour = GREEN if at >= BEFORE_S else BLUE
        status, problem = (500, "status 500, expected 200") if failed else (200, None)
        yield Sample(at, at + took, not failed, kind, operation, status, colour.colour, 8, colour.version, problem)


def decided(draw: Draw, release: Release, seconds: float, rate: float) -> float | None:
    """Return the seconds from the switch to the rollback of one history, None if it is never rolled back."""
    whole = BEFORE_S + seconds
    machine = Machine(draw, release.noise, whole)
    other = machine if release.noise.together else Machine(draw, release.noise, whole)
    good = replace(release, fails=0.0, times=1.0)
    live = list(answers(draw, release, machine, whole, rate))
    control = [replace(one, control=True) for one in answers(draw, good, other, whole, max(2.0, rate / 5))]
    slow = SlowLimits(window=max(40, round(5 * rate)))
    candidate_watch = CandidateWatch(
        WatchLimits(slow=slow),
        GREEN,
        BLUE,
        8,
        baseline(one for one in live if one.at < BEFORE_S),
        baseline(one for one in control if one.at < BEFORE_S),
    )
    for one in sorted((one for one in (*live, *control) if one.at >= BEFORE_S), key=lambda one: one.done):
        if one.control:
            candidate_watch.feed_control(replace(one, ok=False, status=503) if release.alone else one)
        elif candidate_watch.feed(one):
            return one.done - BEFORE_S
    return None


def main() -> None:
    """Print, for a short and a long bake, the share of histories that were rolled back and the seconds to the rollback."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histories", type=int, default=500)
    parser.add_argument("--seed", type=int, default=2026)
    options = parser.parse_args()
    for seconds, rate, share in ((10.0, 40.0, 1.0), (300.0, 5.0, 0.2)):
        count = max(1, int(options.histories * share))
        print(f"bake {seconds:.0f} s at {rate:.0f} requests/s, {count} histories each, seed {options.seed}")
        for release in RELEASES:
            draw = random.Random(options.seed)  # noqa: S311 - a simulation
            found = [decided(draw, release, seconds, rate) for _ in range(count)]
            moments = sorted(moment - release.after for moment in found if moment is not None)
            most = failure_bounds(len(moments), count, 0.95).high
            line = f"  {'good' if release.good else 'bad '} {release.name:40} {len(moments):>5} of {count} rolled back"
            if release.good:
                print(f"{line} = {len(moments) / count:.2%}, at most {most:.2%} (95 %)")
            elif moments:
                print(
                    f"{line}, after {statistics.median(moments):.2f} s, 95 %: {moments[int(0.95 * len(moments))]:.2f} s"
                )
            else:
                print(line)


if __name__ == "__main__":
    main()
