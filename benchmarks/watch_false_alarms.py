"""How often the watch after a switch would roll back a good release, and how soon a bad one: simulated histories, seeded.

Run: ``python benchmarks/watch_false_alarms.py [--histories N] [--seed N]``. Prints a table; asserts nothing.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from verification.samples import Sample
from verification.watch import Watch, WatchLimits

RATE = 40.0  # requests per second, as the prober makes them
Draw = random.Random


@dataclass(frozen=True)
class Release:
    """``fails`` says whether request ``n`` fails, ``slow_ms`` how long it takes."""

    name: str
    good: bool
    fails: Callable[[Draw, int], bool]
    slow_ms: Callable[[Draw, int], float]


def _noisy(draw: Draw, _: int) -> float:
    """Median 20 ms, one in a thousand above 440 ms."""
    return draw.lognormvariate(3, 1)


def _with_stalls(draw: Draw, n: int) -> float:
    """As above, and one answer in fifty takes two seconds."""
    return 2000.0 if draw.random() < 0.02 else _noisy(draw, n)


def _ratio(share: float) -> Callable[[Draw, int], bool]:
    return lambda draw, _: draw.random() < share


RELEASES = (
    Release("no failure, noisy latency", True, _ratio(0), _noisy),
    Release("0.1 % failures, noisy latency", True, _ratio(0.001), _noisy),
    Release("0.1 % failures, 2 s stalls", True, _ratio(0.001), _with_stalls),
    Release("0.5 % failures", True, _ratio(0.005), _noisy),
    Release("3 % failures", False, _ratio(0.03), _noisy),
    Release("10 % failures", False, _ratio(0.10), _noisy),
    Release("every other request fails", False, _ratio(0.5), _noisy),
    Release("everything fails from 5 s on", False, lambda _, n: n >= 5 * RATE, _noisy),
    Release("every answer takes 1.5 s", False, _ratio(0), lambda draw, n: 1500 + _noisy(draw, n)),
)


def history(release: Release, draw: Draw, seconds: float) -> Iterator[Sample]:
    """The prober's samples of one release, in the order of sending."""
    for n in range(int(seconds * RATE)):
        failed = release.fails(draw, n)
        at = n / RATE
        problem = "status 500, expected 200" if failed else None
        done = at + release.slow_ms(draw, n) / 1000
        yield Sample(at, done, not failed, "kept", "health", 500 if failed else 200, "green", 8, "1.1.0", problem)


def main() -> None:
    """Prints, for a short and a long bake, the share of histories that were rolled back and the median second of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=500)
    parser.add_argument("--seed", type=int, default=2026)
    options = parser.parse_args()
    for seconds, share in ((10.0, 1.0), (300.0, 0.1)):
        count = max(1, int(options.histories * share))
        print(f"bake {seconds:.0f} s at {RATE:.0f} requests/s, {count} histories, seed {options.seed}")
        for release in RELEASES:
            draw = random.Random(options.seed)  # noqa: S311 - a simulation
            moments = []
            for _ in range(count):
                watch = Watch(WatchLimits(version="1.1.0", colour="green", generation=8))
                health = next((h for h in map(watch.feed, history(release, draw, seconds)) if h.harmed), None)
                if health is not None and health.at is not None:
                    moments.append(health.at)
            when = f", median after {statistics.median(moments):.2f} s" if moments else ""
            kind = "good" if release.good else "bad "
            print(f"  {kind} {release.name:32} rolled back {len(moments)}/{count} = {len(moments) / count:.2%}{when}")


if __name__ == "__main__":
    main()
