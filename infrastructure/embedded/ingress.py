"""App Runner's own front, as files: which instance answers for a host.

The proxy in front (one server, never reloaded) looks for a file named `127.0.0.1:PORT` in a folder named after
the request's host. A host without such a file is unknown, and unknown hosts get 404.

Switching an instance puts the new file beside the old one and takes the old one away a moment later. A rename would
be atomic to the file system, but not to the proxy, which lists the folder and then looks at what it found: with 565
renames under load it answered 404 twice.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

OVERLAP_S = 0.1
"""Longer than the proxy needs from listing a folder to looking at what it found there, by far."""

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


class Ingress:
    """The folder that the proxy reads: `<directory>/<host without port>/127.0.0.1:<instance port>`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def point(self, host: str, port: int) -> None:
        """Sends `host` (a port in it is ignored) to the instance on loopback `port`.

        When it returns, no request goes to another instance any more; none is refused in between, provided that the
        instance before it still answers. Raises ValueError for what is no host name, so that none leaves the folder.
        """
        folder = self._folder(host)
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"127.0.0.1:{port}"
        stale = [upstream for upstream in _upstreams(folder) if upstream != target]
        target.touch()
        if stale:
            time.sleep(OVERLAP_S)
        for upstream in stale:
            upstream.unlink(missing_ok=True)

    def remove(self, host: str) -> None:
        """Makes `host` unknown; a host that is unknown already stays so."""
        for upstream in _upstreams(self._folder(host)):
            upstream.unlink(missing_ok=True)

    def port_of(self, host: str) -> int | None:
        """The instance port that answers for `host`, or None where it is unknown."""
        present = _upstreams(self._folder(host))
        return int(present[0].name.rpartition(":")[2]) if present else None

    def _folder(self, host: str) -> Path:
        name = host.partition(":")[0].lower()
        if not _HOST.fullmatch(name) or ".." in name:
            raise ValueError(f"not a host name: {host!r}")
        return self._directory / name


def _upstreams(folder: Path) -> list[Path]:
    return sorted(folder.glob("127.0.0.1:*"))
