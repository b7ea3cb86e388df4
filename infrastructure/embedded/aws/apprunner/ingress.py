"""App Runner's ingress as files: they say which instance answers for a host.

The proxy in front (one server, never reloaded) looks for a file named `127.0.0.1:PORT` in a folder named after the
request's host. A host without such a file is unknown and gets 404.

A switch of instances creates the new file beside the old one and removes the old one a moment later. A rename would be
atomic for the file system but not for the proxy, which lists the folder and then opens the file that it found: during
565 renames under load it answered 404 twice.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

OVERLAP_S = 0.1
"""Far longer than the proxy needs between listing a folder and opening the file that it found there."""

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


class Ingress:
    """The folder that the proxy reads: `<directory>/<host without port>/127.0.0.1:<instance port>`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def point(self, host: str, port: int) -> None:
        """Send requests for `host` (a port in it is ignored) to the instance on loopback port `port`.

        After the return no request goes to another instance. During the switch none is refused if the previous instance
        still answers. Raises ValueError if `host` is not a host name, so that no path leads out of the folder.
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
        """Make `host` unknown; do nothing if it is unknown already."""
        for upstream in _upstreams(self._folder(host)):
            upstream.unlink(missing_ok=True)

    def port_of(self, host: str) -> int | None:
        """Return the port of the instance that answers for `host`, or None if the host is unknown."""
        present = _upstreams(self._folder(host))
        return int(present[0].name.rpartition(":")[2]) if present else None

    def _folder(self, host: str) -> Path:
        name = host.partition(":")[0].lower()
        if not _HOST.fullmatch(name) or ".." in name:
            raise ValueError(f"not a host name: {host!r}")
        return self._directory / name


def _upstreams(folder: Path) -> list[Path]:
    return sorted(folder.glob("127.0.0.1:*"))
