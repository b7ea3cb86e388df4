"""Measures how long this process's part of a load lasted, and whether it had time to spare."""

from __future__ import annotations

import resource
import time
from typing import Any

import gevent

_HEARTBEAT_S = 0.05


class Timekeeper:
    """Keeps time for one process.

    ``figures``: seconds, CPU seconds, how late (ms) this process was woken up, each time that it asked to be, and for
    each second the number of requests, of failures, and of answers by their time (ms).
    """

    def __init__(self) -> None:
        self._begun: tuple[float, float] | None = None
        self._noted: dict[str, float] | None = None
        self._late_ms: list[float] = []
        self._by_second: dict[int, list[Any]] = {}

    @property
    def begun(self) -> bool:
        """Return whether the load has begun."""
        return self._begun is not None

    @property
    def figures(self) -> dict[str, Any]:
        """Return the figures up to the end, or up to now."""
        self.end()
        return {**(self._noted or {}), "late_ms": self._late_ms, "by_second": sorted(self._by_second.items())}

    def requested(self, response_time: float | None, exception: Any, **_: Any) -> None:
        """Count a request in the second in which it ended; Locust calls this for each."""
        if self._begun is None:
            return
        row = self._by_second.setdefault(int(time.monotonic() - self._begun[0]), [0, 0, {}])
        row[0] += 1
        row[1] += exception is not None
        took = str(round(response_time or 0))
        row[2][took] = row[2].get(took, 0) + 1

    def begin(self) -> None:
        """Note that the first user starts."""
        self._begun = time.monotonic(), _cpu_s()
        gevent.spawn(self._keep_time)

    def end(self) -> None:
        """Note the end of the load: the time that users need to finish is not part of it. Only the first call counts."""
        if self._begun is not None and self._noted is None:
            since, cpu_s = self._begun
            self._noted = {"seconds": time.monotonic() - since, "cpu_s": _cpu_s() - cpu_s}

    def _keep_time(self) -> None:
        """Measure how late this process is woken up: every request is as late, and that is not the service's time."""
        while self._noted is None:
            begin = time.monotonic()
            gevent.sleep(_HEARTBEAT_S)
            self._late_ms.append((time.monotonic() - begin - _HEARTBEAT_S) * 1000)


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
