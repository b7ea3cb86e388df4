"""Ports for instances: each given once, and told whether a stranger took it."""

from __future__ import annotations

import socket
from threading import Lock

from .instances import free_port


class FreshPorts:
    """Free ports, none of which is given twice by this process."""

    def __init__(self) -> None:
        self._given: set[int] = set()
        self._lock = Lock()

    def fresh(self) -> int:
        """A port that is free now and was not given before."""
        with self._lock:
            port = free_port()
            while port in self._given:
                port = free_port()
            self._given.add(port)
            return port


def taken(port: int) -> bool:
    """Whether somebody listens on the loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
