"""The state of an environment's processes, read from the operating system and the processes each time, never cached."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

from infrastructure.embedded.layout import Environment, Layout
from infrastructure.embedded.passwords import Passwords
from infrastructure.embedded.processes import lifecycle
from infrastructure.embedded.processes.lifecycle import ProcessSpec
from infrastructure.embedded.processes.probes import listens
from infrastructure.embedded.processes.supervisor import specs


@dataclass(frozen=True)
class ProcessStatus:
    """One process; `started_at` is in Unix seconds, and `pid` is None if the process does not run."""

    name: str
    pid: int | None
    started_at: float | None
    port: int
    alive: bool
    answers: bool


@dataclass(frozen=True)
class CloudStatus:
    """The servers and the instances of an environment that is up, completely or in part."""

    processes: tuple[ProcessStatus, ...]
    instances: tuple[ProcessStatus, ...]

    @property
    def healthy(self) -> bool:
        """True if every process runs and answers."""
        return all(process.alive and process.answers for process in (*self.processes, *self.instances))


def describe(layout: Layout, environment: Environment, passwords: Passwords) -> CloudStatus | None:
    """Check each process and return the result, or None if none of them runs."""
    servers = tuple(_server(layout, spec) for spec in specs(layout, environment, passwords))
    instances = _instances(layout)
    up = any(process.alive for process in (*servers, *instances))
    return CloudStatus(servers, instances) if up else None


def _server(layout: Layout, spec: ProcessSpec) -> ProcessStatus:
    known = lifecycle.recorded(layout, spec.name)
    if known is None or not lifecycle.alive(known):
        return ProcessStatus(spec.name, None, None, spec.port, alive=False, answers=False)
    return ProcessStatus(spec.name, known.pid, known.started_at, known.port, alive=True, answers=spec.ready())


def _instances(layout: Layout) -> tuple[ProcessStatus, ...]:
    """Return one entry per host and port that the proxy forwards to, with the process that listens there."""
    listening = {port: process for process in lifecycle.working_below(layout.aws) for port in _ports(process)}
    found = []
    for name, port in (*_behind_ingress(layout), *_behind_listeners(layout)):
        process = listening.get(port)
        pid, started = (process.pid, process.create_time()) if process else (None, None)
        answers = process is not None and listens(port)
        found.append(ProcessStatus(name, pid, started, port, alive=process is not None, answers=answers))
    return tuple(found)


def _behind_ingress(layout: Layout) -> list[tuple[str, int]]:
    """Return App Runner's hosts, each with the port that its requests go to."""
    files = sorted(layout.ingress.glob("*/127.0.0.1:*"))
    return [(file.parent.name, int(file.name.rpartition(":")[2])) for file in files]


def _behind_listeners(layout: Layout) -> list[tuple[str, int]]:
    """Return the hosts of the load balancer's rules, each with the port of a target that its requests go to."""
    lines = [file.read_text() for file in sorted(layout.listeners.glob("*/*")) if file.name.isdigit()]
    found = [(line.split()[0], word) for line in lines for word in line.split() if word.startswith("127.0.0.1:")]
    return [(host, int(address.rpartition(":")[2])) for host, address in dict.fromkeys(found)]


def _ports(process: psutil.Process) -> list[int]:
    try:
        sockets = process.net_connections("tcp")
    except psutil.Error:
        return []
    return [found.laddr.port for found in sockets if found.status == psutil.CONN_LISTEN]
