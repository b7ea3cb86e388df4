"""How long `up` takes until the live domain answers, and how much memory the environment uses.

    python benchmarks/embedded_up.py [RUNS]

Prints, for each run, seconds for a first `up`, for an `up` that finds all well, and for `down`; then the memory of each
process of the last run: USS (its own) and PSS (its own and its share of what is shared), in megabytes (10^6 bytes).
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # a script's path begins with its own folder

from infrastructure.embedded import cloud  # noqa: E402  # the path had to be set first

REGISTRY = ROOT / "infrastructure" / "embedded" / "registry"
TARGETS = {"up_s": 6.0, "memory_mb": 400.0}
"""What the environment is meant to keep on a machine with two cores."""


def timed(action: Callable[[], object]) -> float:
    """Seconds of wall clock that the action takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def memory(state: Path) -> dict[str, tuple[float, float]]:
    """(USS, PSS) in megabytes of each process and its children, by name; PSS is USS where the system knows no PSS."""
    found = cloud.inspect(state)
    assert found is not None
    used = {}
    for process in (*found.processes, *found.instances):
        family = [psutil.Process(process.pid)]
        if process.name != "endpoint":  # whose children are the instances, counted on their own
            family += family[0].children(recursive=True)
        infos = [member.memory_full_info() for member in family]
        used[process.name] = (
            sum(info.uss for info in infos) / 1e6,
            sum(getattr(info, "pss", info.uss) for info in infos) / 1e6,
        )
    return used


def main(runs: int) -> None:
    """Runs the environment `runs` times, each in a fresh state folder."""
    ups = []
    used: dict[str, tuple[float, float]] = {}
    for number in range(1, runs + 1):
        parent = Path(tempfile.mkdtemp(prefix="embedded-up-"))
        state = parent / "state"
        try:
            ups.append(timed(partial(cloud.up, state, REGISTRY)))
            again = timed(partial(cloud.up, state, REGISTRY))
            used = memory(state)
        finally:
            down = timed(partial(cloud.down, state))
            shutil.rmtree(parent)
        print(f"run {number}: up {ups[-1]:.2f} s, up again {again:.2f} s, down {down:.2f} s")
    print(f"up: median {statistics.median(ups):.2f} s, longest {max(ups):.2f} s (target {TARGETS['up_s']:.0f} s)")
    for name, (uss, pss) in used.items():
        print(f"{name:45} USS {uss:6.1f} MB  PSS {pss:6.1f} MB")
    total_uss, total_pss = (sum(pair[index] for pair in used.values()) for index in (0, 1))
    print(f"{'all':45} USS {total_uss:6.1f} MB  PSS {total_pss:6.1f} MB (target {TARGETS['memory_mb']:.0f} MB)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
