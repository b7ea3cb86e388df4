"""App Runner's own front, as files: which instance answers for a host.

The proxy in front (one server, never reloaded) looks for a file named `127.0.0.1:PORT` in a folder named after
the request's host. Switching an instance is a rename of that file, which the file system makes atomic; a host
without such a file is unknown, and unknown hosts get 404.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


class Ingress:
    """The folder that the proxy reads: `<directory>/<host without port>/127.0.0.1:<instance port>`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def point(self, host: str, port: int) -> None:
        """Sends `host` (a port in it is ignored) to the instance on loopback `port`, atomically.

        Raises ValueError for something that is no host name, so that no name leaves the folder.
        """
        folder = self._folder(host)
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"127.0.0.1:{port}"
        present = _upstreams(folder)
        if not present:
            target.touch()
        elif target not in present:
            os.rename(present[0], target)
            present = present[1:]
        for stale in present:
            if stale != target:
                stale.unlink(missing_ok=True)

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
