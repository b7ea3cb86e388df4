"""Puts load on an address, with Locust in processes of its own, and returns the result.

Locust patches sockets, threads and clocks of the process that imports it, so this one never does.
"""

from __future__ import annotations

import json
import secrets
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from verification.journeys.placeholders import provided_secrets, secret_values
from verification.load.model import (
    MOST_REMOVING_S,
    LoadFailed,
    LoadPlan,
    LoadResult,
    OperationLoad,
    WorkerLoad,
)
from verification.load.processes import LOOPBACK, Locust, first_arguments, worker_arguments
from verification.load.results import result_of
from verification.redaction.redactor import Redactor

__all__ = [
    "LoadFailed",
    "LoadPlan",
    "LoadResult",
    "OperationLoad",
    "WorkerLoad",
    "run_load",
    "run_together",
]

# Locust needs half a second to start, and its users up to the stop timeout to finish; both take longer under load.
_GRACE_S = 30.0
_TICK_S = 0.5
_PAUSE_S = 0.05
_TAIL_LINES = 12
# Workers that are started here join within the first time. A person may have to start those elsewhere first.
_JOIN_S, _JOIN_ELSEWHERE_S = 60.0, 300.0
# Workers end a moment after their master, when it has received their last reports.
_LEAVE_S = 5.0
EVERYWHERE = ("0.0.0.0", "*", "::")  # noqa: S104 - what to compare with


def run_load(plan: LoadPlan, *, log: Path, on_tick: Callable[[float], None] | None = None) -> LoadResult:
    """Run the load and return its result, failures of the service included.

    Locust's output is appended to the file ``log``, without secrets. ``on_tick`` is called about every half second with
    the seconds that have passed. Raises LoadFailed, with the log's tail, if there was no load or no result, or a worker
    was lost. No process is left, also after an exception.
    """
    return run_together([plan], log=log, on_tick=on_tick)[0]


def run_together(
    plans: Sequence[LoadPlan], *, log: Path, on_tick: Callable[[float], None] | None = None
) -> list[LoadResult]:
    """Run several loads in the same seconds, each by processes of its own: see ``run_load``."""
    with tempfile.TemporaryDirectory(prefix="load-") as folder, log.open("a", encoding="utf-8") as output:
        start = log.stat().st_size
        crews = [_Crew(plan, Path(tempfile.mkdtemp(dir=folder)), output) for plan in plans]
        try:
            for crew in crews:
                crew.start()
            codes = [crew.wait(on_tick) for crew in crews]
        finally:
            for crew in crews:
                crew.end()
        try:
            return [result_of(crew.plan, crew.stats, crew.extra) for crew in crews]
        except LoadFailed as exc:
            shown = ", ".join(map(str, codes))
            raise LoadFailed(f"{exc} (Locust's exit code {shown}){_tail(log, start)}") from exc


class _Crew:
    """The Locust processes of one load: a single one, or a master and its workers."""

    def __init__(self, plan: LoadPlan, folder: Path, output: TextIO) -> None:
        self.plan, self._folder, self._output = plan, folder, output
        known = (*provided_secrets().values(), *secret_values(plan.service.variables))
        self._redactor = Redactor([*(user.password for user in plan.smoke_users), *plan.route.secrets(), *known])
        self.stats, self.extra, self._port_file = folder / "stats.json", folder / "run.json", folder / "port.json"
        self._join_s = 0.0 if not plan.shared else _JOIN_ELSEWHERE_S if plan.elsewhere else _JOIN_S
        # Workers elsewhere get no key from this process; they only know the users' passwords.
        self._key = "" if plan.elsewhere else secrets.token_hex(16)
        self._locusts: list[Locust] = []

    def start(self) -> None:
        """Start the process that writes the result; if it is a master, start the workers once it listens."""
        plan = self.plan
        self._add(first_arguments(plan, self.stats), self._config())
        if not plan.shared:
            return
        port, host = self._listening_port(), LOOPBACK if plan.listen is None else plan.listen[0]
        argv = worker_arguments(LOOPBACK if host in EVERYWHERE else host, port)
        for _ in range(plan.workers):
            self._add(argv, {**self._private(), "key": self._key, "route": asdict(plan.route), "ledger": plan.ledger})

    def wait(self, on_tick: Callable[[float], None] | None) -> int:
        """Wait until the first process has ended and return its exit code.

        Raises LoadFailed if that takes too long, or a worker is lost.
        """
        begin = time.monotonic()
        deadline = begin + self._join_s + self.plan.seconds + MOST_REMOVING_S + _GRACE_S
        while True:
            code = self._locusts[0].wait(_TICK_S)
            if code is not None:
                return code
            now = time.monotonic()
            if now > deadline:
                raise LoadFailed(f"Locust did not end within {now - begin:.0f} s, planned {self.plan.seconds:g} s")
            self._look_after_workers()
            if on_tick is not None:
                on_tick(now - begin)

    def end(self) -> None:
        """End all processes at once. Only processes that are already leaving get a moment to finish."""
        leave_by = time.monotonic() + (_LEAVE_S if self._locusts and self._locusts[0].code is not None else 0.0)
        for one in self._locusts:
            one.end(max(0.0, leave_by - time.monotonic()))

    def _add(self, argv: list[str], config: Mapping[str, Any]) -> None:
        self._locusts.append(Locust(argv, config, self._folder, self._output, self._redactor.clean))

    def _look_after_workers(self) -> None:
        for number, one in enumerate(self._locusts[1:], 1):
            if one.code:
                how = f"signal {-one.code}" if one.code < 0 else f"exit code {one.code}"
                raise LoadFailed(f"worker {number} of {self.plan.workers} was lost ({how}): the load proves nothing")

    def _listening_port(self) -> int:
        """Wait until the master listens and return its port. Raises LoadFailed if it ends or takes too long."""
        deadline = time.monotonic() + _GRACE_S
        while not self._port_file.exists():
            if self._locusts[0].code is not None or time.monotonic() > deadline:
                raise LoadFailed(f"Locust's master did not listen within {_GRACE_S:g} s")
            time.sleep(_PAUSE_S)
        return int(json.loads(self._port_file.read_text(encoding="utf-8"))["port"])

    def _private(self) -> dict[str, Any]:
        """Return what only processes on this machine get: accounts and secrets."""
        users = [{"email": user.email, "password": user.password} for user in self.plan.smoke_users]
        return {"users": users, "secrets": provided_secrets()}

    def _config(self) -> dict[str, Any]:
        plan = self.plan
        return {
            **self._private(),
            "key": self._key,
            "service": plan.service.to_json(),
            "base_url": plan.base_url,
            "route": asdict(plan.route),
            "rate_per_user": plan.rate / plan.users,
            "seconds": plan.seconds,
            "timeout_s": plan.timeout_s,
            "largest": plan.largest,
            "ca_file": plan.ca_file,
            "most_failures": plan.most_failures,
            "expected": plan.workers + plan.elsewhere,
            "join_s": self._join_s,
            "extra": str(self.extra),
            "port_file": str(self._port_file),
            "ledger": plan.ledger,
        }


def _tail(log: Path, start: int) -> str:
    with log.open("rb") as file:
        file.seek(start)
        lines = file.read().decode(errors="replace").splitlines()
    return "; its log ends:\n" + "\n".join(lines[-_TAIL_LINES:]) if lines else "; its log is empty"
