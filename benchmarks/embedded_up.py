"""The time that `up` takes until the live domain answers, and the memory that the environment uses.

    python benchmarks/embedded_up.py [RUNS]

Prints for each run the seconds of a first `up`, of an `up` with everything running, and of `down`; then the memory of each
process of the last run: USS (its own) and PSS (its own and its share of shared memory), in megabytes (10^6 bytes).
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

from deployment.settings import load  # noqa: E402  # the path had to be set first
from infrastructure.compose import served  # noqa: E402  # the path had to be set first
from infrastructure.embedded import cloud  # noqa: E402  # the path had to be set first
from tests.checkout import SETTINGS_FILE  # noqa: E402  # the path had to be set first

REGISTRY = ROOT / "infrastructure" / "embedded" / "registry"
TARGETS = {"up_s": 6.0, "memory_mb": 400.0}
"""The environment's targets on a machine with two cores."""


def timed(action: Callable[[], object]) -> float:
    """Run the action; return its wall time in seconds."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def memory(state: Path) -> dict[str, tuple[float, float]]:
    """Return (USS, PSS) in megabytes of each process with its children, by name; PSS is USS if the system has no PSS."""
    found = cloud.inspect(state)
    assert found is not None
    used = {}
    for process in (*found.processes, *found.instances):
        family = [psutil.Process(process.pid)]
        if process.name != "endpoint":  # its children are the instances, which are counted separately
            family += family[0].children(recursive=True)
        infos = [member.memory_full_info() for member in family]
        used[process.name] = (
            sum(info.uss for info in infos) / 1e6,
            sum(getattr(info, "pss", info.uss) for info in infos) / 1e6,
        )
    return used


def main(runs: int) -> None:
    """Start and stop the environment `runs` times, each in a new state folder, and print the figures."""
    ups = []
    used: dict[str, tuple[float, float]] = {}
    for number in range(1, runs + 1):
        parent = Path(tempfile.mkdtemp(prefix="embedded-up-"))
        state = parent / "state"
        try:
            start = partial(cloud.up, state, REGISTRY, served(load(SETTINGS_FILE, "embedded")))
            ups.append(timed(start))
            again = timed(start)
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
