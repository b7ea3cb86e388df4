"""Other work beside a measurement: processes that take what they get of the CPU."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager


def _spin(parent: int) -> None:
    while os.getppid() == parent:
        pass


@contextmanager
def beside(processes: int) -> Iterator[None]:
    """So many of them, as long as the block lasts, and no longer than this process lives."""
    spinning = [multiprocessing.Process(target=_spin, args=(os.getpid(),), daemon=True) for _ in range(processes)]
    for one in spinning:
        one.start()
    try:
        yield
    finally:
        for one in spinning:
            one.kill()
            one.join()
