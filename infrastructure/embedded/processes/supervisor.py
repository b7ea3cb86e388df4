"""All processes of an environment: started concurrently, and stopped so that none is left."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from infrastructure.embedded.caddy import server
from infrastructure.embedded.layout import Environment, Layout
from infrastructure.embedded.passwords import Passwords
from infrastructure.embedded.processes import lifecycle, postgres, python_server, valkey
from infrastructure.embedded.processes.lifecycle import ProcessSpec, Recorded

NAMES = ("postgres", "valkey", "moto", "caddy", "endpoint")
_STOP_SIGNALS = {"postgres": signal.SIGINT}
"""On SIGTERM PostgreSQL would wait for its clients."""
ENDPOINT_GRACE_S = 15.0
"""The endpoint gives each instance 10 s to finish its requests."""


def specs(layout: Layout, environment: Environment, passwords: Passwords) -> tuple[ProcessSpec, ...]:
    """Return the specs of all processes of the environment; a store that the service does not have has none."""
    superuser, application = passwords.postgres_superuser, passwords.postgres_application
    stores = environment.served.stores
    return (
        *([postgres.spec(layout, environment, superuser, application)] if "database" in stores else []),
        *([valkey.spec(layout, environment)] if "redis" in stores else []),
        python_server.moto(layout, environment),
        server.spec(layout, environment),
        python_server.endpoint(layout, environment),
    )


@dataclass(frozen=True)
class Starting:
    """The processes that are being started, by name."""

    started: dict[str, Future[Recorded]]

    def wait_for(self, *names: str) -> None:
        """Wait until these processes are ready; raise the StartFailed of the first one that failed."""
        for name in names:
            if name in self.started:
                self.started[name].result()

    def wait(self) -> None:
        """Wait until all processes are ready; raise StartFailed if one failed."""
        self.wait_for(*self.started)


def start(
    layout: Layout, wanted: Sequence[ProcessSpec], progress: Callable[[str], None], pool: ThreadPoolExecutor
) -> Starting:
    """Start the processes that do not run or do not answer, concurrently; leave the others alone."""

    def one(spec: ProcessSpec) -> Recorded:
        process = lifecycle.start(layout, spec)
        progress(f"{spec.name} is ready (process {process.pid}, port {spec.port})")
        return process

    started = {}
    lifecycle.kill_all(lifecycle.unrecorded(layout))  # they would occupy the ports
    for spec in wanted:
        known = lifecycle.recorded(layout, spec.name)
        if known is not None and lifecycle.alive(known):
            if spec.ready():
                continue
            lifecycle.stop(layout, known, spec.stop_signal, grace_s=0.5)  # it hangs, perhaps ignoring signals
        started[spec.name] = pool.submit(one, spec)
    return Starting(started)


def stop_all(layout: Layout, environment: Environment) -> tuple[str, ...]:
    """Stop the endpoint with its instances, then the servers that they use; return the names of those that ran."""
    stopped = [*_stop(layout, "endpoint", ENDPOINT_GRACE_S)]
    orphans = lifecycle.working_below(layout.aws)  # instances of an endpoint that was killed
    lifecycle.kill_all(orphans)
    stopped += [f"instance (process {orphan.pid})" for orphan in orphans]
    with ThreadPoolExecutor(len(NAMES)) as pool:
        others = [name for name in NAMES if name != "endpoint"]
        for names in pool.map(lambda name: _stop(layout, name, 10.0), others):
            stopped += names
    lifecycle.kill_all(lifecycle.working_below(environment.postgres_home))  # backends of a postmaster that was killed
    strays = lifecycle.unrecorded(layout)
    lifecycle.kill_all(strays)
    stopped += [f"process {stray.pid}" for stray in strays]
    return tuple(stopped)


def _stop(layout: Layout, name: str, grace_s: float) -> list[str]:
    known = lifecycle.recorded(layout, name)
    how = _STOP_SIGNALS.get(name, signal.SIGTERM)
    return [name] if known is not None and lifecycle.stop(layout, known, how, grace_s) else []
