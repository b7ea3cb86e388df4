"""Other work beside a measurement: processes that use as much CPU as they get."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager


def _spin(parent: int) -> None:
    while os.getppid() == parent:
        pass


@contextmanager
def busy_processes(processes: int) -> Iterator[None]:
    """Run this number of busy processes until the block ends; they also end with this process."""
    spinning = [multiprocessing.Process(target=_spin, args=(os.getpid(),), daemon=True) for _ in range(processes)]
    for one in spinning:
        one.start()
    try:
        yield
    finally:
        for one in spinning:
            one.kill()
            one.join()
