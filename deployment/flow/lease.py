"""Keeps the lease alive from a thread of its own, and remembers when it was lost."""

from __future__ import annotations

import threading

from deployment.errors import CloudError, LeaseLost
from deployment.model import Holder
from deployment.ports import Lease

# Renewed three times within its time to live, so that two failed renewals in a row cost nothing.
RENEWALS_PER_TTL = 3


class LeaseKeeper:
    """Renews a lease until stopped; ``lost`` says why it may not be used any more, None while it may."""

    def __init__(self, lease: Lease, holder: Holder, ttl_s: float) -> None:
        self.lost: str | None = None
        self._lease = lease
        self._holder = holder
        self._pause = ttl_s / RENEWALS_PER_TTL
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease-keeper", daemon=True)

    def start(self) -> None:
        """Begins to renew."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; the lease itself stays as it is."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=self._pause)

    def _run(self) -> None:
        while not self._stop.wait(self._pause):
            try:
                self._holder = self._lease.renew(self._holder)
            except LeaseLost as error:
                self.lost = str(error)
                return
            except CloudError:
                # The next renewal may succeed; where none does, the lease expires and the next check of it says so.
                continue
