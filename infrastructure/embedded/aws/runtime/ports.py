"""Ports for instances, each used once."""

from __future__ import annotations

from threading import Lock

from infrastructure.embedded.aws.runtime.instances import free_port


class FreshPorts:
    """Free ports; this process uses none of them twice."""

    def __init__(self) -> None:
        self._given: set[int] = set()
        self._lock = Lock()

    def fresh(self) -> int:
        """Return a port that is free now and was not returned before."""
        with self._lock:
            port = free_port()
            while port in self._given:
                port = free_port()
            self._given.add(port)
            return port
