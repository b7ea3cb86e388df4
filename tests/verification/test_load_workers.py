"""A load by several Locust processes: the same figures as by one process, no worker lost and none left running."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.verification.contract_server import SERVICE, USER, Service
from tests.verification.test_load import ROOT, locusts, plan_for, wait_until
from verification.journeys.accounts import SmokeUser
from verification.load.processes import Locust, worker_arguments
from verification.load.results import result_of
from verification.load.run import LoadFailed, LoadPlan, LoadResult, run_load

PLAN = LoadPlan("http://x", SERVICE, (SmokeUser("a", "b"),), users=4, seconds=2, workers=2)
LIMITS = {"p95_ms": 1000, "rate": 10, "throughput": 0.5, "min_requests": 1}


def worker_report(**values: Any) -> dict[str, Any]:
    """Return the report of one worker of a good load."""
    return {"host": "vm", "requests": 10, "seconds": 2.0, "cpu_s": 0.2, "late_ms": [1.0] * 40} | values


def result_from(folder: Path, *workers: dict[str, Any], problem: str | None = None) -> LoadResult:
    """Return the result from files as Locust and these workers write them."""
    health = {"name": "health", "num_requests": 20, "num_failures": 0, "response_times": {"5": 20}}
    (folder / "stats.json").write_text(json.dumps([health | {"max_response_time": 5.0}]))
    (folder / "run.json").write_text(json.dumps({"errors": [], "workers": list(workers), "problem": problem}))
    return result_of(PLAN, folder / "stats.json", folder / "run.json")


def test_worst_worker_decides(tmp_path: Path) -> None:
    good = result_from(tmp_path, worker_report(), worker_report())
    assert (good.requests, good.throughput, good.cut_short, len(good.workers)) == (20, 10.0, False, 2)
    assert good.proves_something(LIMITS)
    busy = result_from(tmp_path, worker_report(), worker_report(cpu_s=1.9))
    assert busy.generator_cpu == pytest.approx(0.95)
    late = result_from(tmp_path, worker_report(), worker_report(late_ms=[300.0] * 40))
    assert late.late_ms == 300.0
    assert [one.proves_something(LIMITS) for one in (busy, late)] == [False, False], (
        "both measured the machine instead of the release"
    )
    short = result_from(tmp_path, worker_report(), worker_report(seconds=1.5))
    assert (short.cut_short, short.seconds, short.throughput) == (True, 1.5, 10.0)


def test_lost_worker_raises_load_failed(tmp_path: Path) -> None:
    """Failure mode 4: no data counts as good."""
    with pytest.raises(LoadFailed, match="1 of 2 workers were lost"):
        result_from(tmp_path, worker_report(), problem="1 of 2 workers were lost (on vm)")
    with pytest.raises(LoadFailed, match="incomplete"):
        result_from(tmp_path, worker_report(), {"host": "vm"})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"workers": 0}, "0 workers here"),
        ({"workers": -1}, "-1 workers here"),
        ({"workers": 5}, "of 4 users cannot be made by 5 workers here"),
        ({"workers": 3, "elsewhere": 2, "listen": ("127.0.0.1", 0)}, "and 2 elsewhere"),
        ({"elsewhere": 1}, "an address to join at"),
        (
            {"elsewhere": 1, "listen": ("127.0.0.1", 0), "smoke_users": (), "service": replace(SERVICE, sessions={})},
            "need smoke users: only who knows their passwords",
        ),
        ({"most_failures": 3}, "does not end at a number"),
    ],
)
def test_invalid_number_of_workers_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(PLAN, **values)


def test_two_workers_make_one_load(service: Service, tmp_path: Path) -> None:
    shown: dict[int, str] = {}

    def on_tick(_: float) -> None:
        for process in locusts():
            with suppress(psutil.NoSuchProcess):  # the process has ended
                shown[process.pid] = str([process.cmdline(), process.environ()])

    service.fail = {"readConsult": 500}
    result = run_load(plan_for(service, workers=2), log=tmp_path / "load.log", on_tick=on_tick)
    assert [worker.requests > 20 for worker in result.workers] == [True, True]
    by_name = {operation.operation: operation for operation in result.by_operation}
    assert by_name["login"].requests == service.logins == 4
    assert result.requests == sum(worker.requests for worker in result.workers) - 4
    counted = sum(operation.requests for operation in result.by_operation)
    assert 0 <= len(service.seen) - counted <= 2 * 4, "only removing after the load's end is not counted"
    assert result.failures == by_name["readConsult"].failures > 0
    assert result.errors == (("GET readConsult: status 500, expected 200", result.failures),)
    assert not result.cut_short
    assert result.p50_ms <= result.p95_ms <= result.p99_ms
    assert service.consults == {}
    assert len(shown) == 3, "a master and two workers"
    assert not [text for text in shown.values() if USER["password"] in text or service.url in text]
    assert USER["password"] not in (tmp_path / "load.log").read_text()
    assert locusts() == []


def workers() -> list[psutil.Process]:
    return [process for process in locusts() if "--worker" in process.cmdline()]


def busy(service: Service) -> bool:
    return len(service.seen) > 20


@pytest.mark.soak
@pytest.mark.parametrize(
    ("victim", "words"),
    [("--worker", r"worker \d of 2 was lost \(signal 9\)"), ("--master", r"wrote no stats\.json .*exit code -9")],
)
def test_killed_process_raises_load_failed(service: Service, tmp_path: Path, victim: str, words: str) -> None:
    def on_tick(_: float) -> None:
        if busy(service):
            os.kill(next(p.pid for p in locusts() if victim in p.cmdline()), signal.SIGKILL)

    with pytest.raises(LoadFailed, match=words):
        run_load(plan_for(service, seconds=30, workers=2), log=tmp_path / "load.log", on_tick=on_tick)
    assert locusts() == []


@pytest.mark.soak
@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGSTOP, "1 of 2 workers were lost"),
        (signal.SIGTERM, r"made \d+ requests, and statistics of \d+ arrived"),
    ],
    ids=["hangs", "leaves"],
)
def test_incomplete_worker_raises_load_failed(
    service: Service, tmp_path: Path, number: signal.Signals, words: str
) -> None:
    done: list[int] = []

    def on_tick(_: float) -> None:
        if busy(service) and not done:
            done.append(workers()[0].pid)
            os.kill(done[0], number)

    with pytest.raises(LoadFailed, match=words):
        run_load(plan_for(service, seconds=4, workers=2), log=tmp_path / "load.log", on_tick=on_tick)
    assert locusts() == []


@pytest.mark.soak
def test_all_processes_end_with_their_parent(service: Service, tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from verification.load.run import LoadPlan, run_load
from verification.journeys.accounts import SmokeUser
from tests.verification.contract_server import SERVICE
plan = LoadPlan(sys.argv[1], SERVICE, (SmokeUser(*sys.stdin.readline().split()),), users=4, rate=40, seconds=120, workers=2)
run_load(plan, log=Path(sys.argv[2]))
"""
    argv = [sys.executable, "-c", program, service.url, str(tmp_path / "load.log")]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdin is not None
            parent.stdin.write(f"{USER['email']} {USER['password']}\n")
            parent.stdin.flush()
            wait_until(lambda: "createConsult" in service.seen)
            children = locusts()
            assert len(children) == 3
        finally:
            parent.kill()
    wait_until(lambda: all(not p.is_running() or p.status() == psutil.STATUS_ZOMBIE for p in children))
    assert service.consults == {}


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@contextmanager
def joining(port: int, password: str, log: Path) -> Iterator[Locust]:
    """Run a worker that joins at the port, as a worker on another host does."""
    users = [{"email": USER["email"], "password": password}]
    with log.open("w", encoding="utf-8") as output:
        worker = Locust(worker_arguments("127.0.0.1", port), {"users": users}, log.parent, output, str)
        try:
            yield worker
        finally:
            worker.end()


@pytest.mark.soak
def test_worker_on_another_host_joins(service: Service, tmp_path: Path) -> None:
    port = free_port()
    plan = plan_for(service, workers=1, elsewhere=1, listen=("127.0.0.1", port))
    with joining(port, USER["password"], tmp_path / "other.log") as other:
        result = run_load(plan, log=tmp_path / "load.log")
        assert [worker.requests > 20 for worker in result.workers] == [True, True]
        assert other.wait(10) == 0


@pytest.mark.soak
def test_worker_without_the_passwords_is_rejected(service: Service, tmp_path: Path) -> None:
    """It joins as a worker but does not know the passwords: master and worker both refuse each other."""
    port, log = free_port(), tmp_path / "other.log"
    plan = plan_for(service, workers=1, elsewhere=1, listen=("127.0.0.1", port))
    with joining(port, "guessed", log) as worker:
        with pytest.raises(LoadFailed, match="do not know the smoke users"):
            run_load(plan, log=tmp_path / "load.log")
        assert worker.wait(10) == 76
    assert "the master does not know the smoke users" in log.read_text()
