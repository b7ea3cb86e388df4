"""Load by one Locust process over real sockets."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.verification import notes_server
from tests.verification.contract_server import SERVICE, USER, Service
from tests.verification.notes_server import Notes
from verification.journeys.accounts import SmokeUser
from verification.load.model import journeys_of
from verification.load.run import LoadFailed, LoadPlan, run_load

ROOT = Path(__file__).resolve().parents[2]


def wait_until(condition: Callable[[], bool], deadline_s: float = 30) -> None:
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, f"the condition was not true within {deadline_s} s"
        time.sleep(0.01)  # pause of a poll with a deadline


def plan_for(service: Service, **values: Any) -> LoadPlan:
    return LoadPlan(service.url, SERVICE, (SmokeUser(**USER),), **({"users": 4, "rate": 60, "seconds": 2.5} | values))


def locusts() -> list[psutil.Process]:
    return [p for p in psutil.Process().children(recursive=True) if "locust" in _words(p)]


def _words(process: psutil.Process) -> list[str]:
    """Return the command line of the process, or an empty list if it has ended, as processes of other tests may."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_load_is_measured_and_cleaned_up(service: Service, tmp_path: Path) -> None:
    shown: list[str] = []

    def on_tick(_: float) -> None:
        shown.extend(str([p.cmdline(), p.environ()]) for p in locusts())

    result = run_load(plan_for(service), log=tmp_path / "load.log", on_tick=on_tick)
    assert (result.failures, result.failure_ratio, result.cut_short, result.errors) == (0, 0.0, False, ())
    assert result.requests > 50
    assert result.p50_ms <= result.p95_ms <= result.p99_ms
    assert result.generator_cpu > 0
    by_name = {operation.operation: operation for operation in result.by_operation}
    assert by_name["login"].requests == service.logins == 4
    assert result.requests == sum(o.requests for o in result.by_operation) - 4
    assert {"health", "listConsults", "createConsult", "readConsult", "cancelConsult"} <= set(by_name)
    assert service.consults == {}
    assert service.hosts == {f"api.telehealth.localhost:{service.port}"}
    assert shown
    assert not [text for text in shown if USER["password"] in text or service.url in text]
    assert USER["password"] not in (tmp_path / "load.log").read_text()
    assert locusts() == []


def test_load_plays_the_described_journeys_in_the_shipped_proportion() -> None:
    """Every tenth request books, and every fifth one asks for health."""
    asked: Counter[str] = Counter()
    for journey in journeys_of(SERVICE):
        asked.update({step.operation: 0 for step in journey.all_steps})
        for step in journey.all_steps:
            asked[step.operation] += journey.weight
    assert asked == {"health": 2, "listConsults": 5, "createConsult": 1, "readConsult": 1, "cancelConsult": 1}


def test_basic_auth_without_dependencies_gets_its_load(notes: Notes, tmp_path: Path) -> None:
    """No journey of weight 0, no writing step without ``live: true``, and what a failed step left is removed."""
    notes.fail.update({"GET /notes/{}": 2, "DELETE /notes/{}": 1, "GET /files/{}": 1})
    user = SmokeUser(**notes_server.USER)
    plan = LoadPlan(notes.url, notes_server.described(tmp_path), (user,), users=4, rate=80, seconds=1.5)
    result = run_load(plan, log=tmp_path / "load.log")
    assert sorted(result.errors) == [
        ("DELETE /notes/${id}: status 500, expected 204", 1),
        ("GET /files/${marker}.txt: status 500, expected 200", 1),
        ("GET /notes/${id}: status 500, expected 200", 2),
    ]
    assert result.requests == sum(one.requests for one in result.by_operation) > 50
    assert 0 <= len(notes.seen) - result.requests <= 2 * plan.users, "only removing after the load's end is not counted"
    assert {one.split(" ")[0] for one in notes.seen} == {"PROPFIND", "POST", "GET", "PUT", "DELETE"}
    assert not {"GET /count", "DELETE /everything"} & set(notes.seen)
    assert (notes.stored, notes.refused) == ({}, 0)


def test_each_request_without_an_answer_is_sent_once_and_fails(notes: Notes, tmp_path: Path) -> None:
    """The HTTP client would send GET, PUT and DELETE again, and a DELETE that was done would then be answered 404."""
    notes.lose.update(
        {"GET /files/{}": 2, "PUT /notes/{}": 1, "PUT /files/{}": 1, "DELETE /files/{}": 1, "POST /notes": 1}
    )
    user = SmokeUser(**notes_server.USER)
    plan = LoadPlan(notes.url, notes_server.described(tmp_path), (user,), users=4, rate=80, seconds=2.5)
    result = run_load(plan, log=tmp_path / "load.log")
    assert sorted(result.errors) == [
        ("DELETE /files/${marker}.txt: no answer: HTTPConnectionClosed", 1),
        ("GET /files/${marker}.txt: no answer: HTTPConnectionClosed", 2),
        ("POST /notes: no answer: HTTPConnectionClosed", 1),
        ("PUT /files/${marker}.txt: no answer: HTTPConnectionClosed", 1),
        ("PUT /notes/${id}: no answer: HTTPConnectionClosed", 1),
    ]
    assert result.requests == sum(one.requests for one in result.by_operation) > 50
    assert 0 <= len(notes.seen) - result.requests <= 2 * plan.users, "only removing after the load's end is not counted"


def test_a_release_that_answers_no_more_gets_no_request_twice(service: Service, tmp_path: Path) -> None:
    def on_tick(_: float) -> None:
        if service.seen.count("health") > 3:
            service.raw = b""  # it reads each request and closes the connection

    result = run_load(plan_for(service, seconds=2), log=tmp_path / "load.log", on_tick=on_tick)
    (health,) = (one for one in result.by_operation if one.operation == "health")
    assert health.requests == service.seen.count("health")
    assert ("GET health: no answer: HTTPConnectionClosed", health.failures) in result.errors
    assert health.failures > 3


def test_kept_connections_that_the_server_closed_while_idle_are_no_failures(notes: Notes, tmp_path: Path) -> None:
    notes.idle_s = 0.05
    user = SmokeUser(**notes_server.USER)
    plan = LoadPlan(notes.url, notes_server.described(tmp_path), (user,), users=2, rate=8, seconds=2.5)
    result = run_load(plan, log=tmp_path / "load.log")
    assert (result.failures, result.errors) == (0, ())
    assert notes.connections > result.requests / 2 > 5


@pytest.mark.soak
def test_workers_make_the_load_of_a_service_without_accounts(notes: Notes, tmp_path: Path) -> None:
    text = "service: x\nhealth: {request: GET /ready, version: none}\ndependencies: none\nsessions: none\njourneys:\n  up: {steps: [{name: up, request: GET /ready}]}\n"
    service = notes_server.described(tmp_path, text)
    result = run_load(LoadPlan(notes.url, service, users=2, rate=40, seconds=2, workers=2), log=tmp_path / "load.log")
    assert [worker.requests > 10 for worker in result.workers] == [True, True]
    assert (result.failures, set(notes.seen)) == (0, {"GET /ready"})


def test_failures_are_counted_with_their_messages(service: Service, tmp_path: Path) -> None:
    service.fail = {"listConsults": 500}
    result = run_load(plan_for(service, seconds=1), log=tmp_path / "load.log")
    (listed,) = (o for o in result.by_operation if o.operation == "listConsults")
    assert result.failures == listed.failures == listed.requests > 0
    assert result.errors == (("GET listConsults: status 500, expected 200", listed.failures),)


def test_failed_sign_in_is_a_failure(service: Service, tmp_path: Path) -> None:
    service.fail = {"login": 503}
    result = run_load(plan_for(service, seconds=1), log=tmp_path / "load.log")
    assert result.failure_ratio == 1.0
    assert "POST login: status 503" in result.errors[0][0]


def test_interrupted_load_is_cut_short(service: Service, tmp_path: Path) -> None:
    def on_tick(_: float) -> None:
        if service.seen.count("health") > 3:
            for process in locusts():
                process.send_signal(signal.SIGTERM)

    result = run_load(plan_for(service, seconds=30), log=tmp_path / "load.log", on_tick=on_tick)
    assert result.cut_short
    assert 0 < result.seconds < result.planned_seconds == 30


def test_crash_raises_load_failed(service: Service, tmp_path: Path) -> None:
    """Failure mode 4: no data counts as good."""

    def on_tick(_: float) -> None:
        for process in locusts():
            os.kill(process.pid, signal.SIGKILL)

    with pytest.raises(LoadFailed, match=r"wrote no stats\.json"):
        run_load(plan_for(service, seconds=30), log=tmp_path / "load.log", on_tick=on_tick)


def test_exception_leaves_no_process(service: Service, tmp_path: Path) -> None:
    def on_tick(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_load(plan_for(service, seconds=30), log=tmp_path / "load.log", on_tick=on_tick)
    assert locusts() == []


@pytest.mark.parametrize(
    "values",
    [
        {"users": 0},
        {"rate": 0},
        {"service": replace(SERVICE, journeys=())},
        {"service": replace(SERVICE, journeys=tuple(replace(one, weight=0) for one in SERVICE.journeys))},
        {"smoke_users": ()},
    ],
)
def test_invalid_load_plan_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="the load"):
        LoadPlan(**{"base_url": "http://x", "service": SERVICE, "smoke_users": (SmokeUser("a", "b"),), **values})


def test_locust_ends_with_its_parent(service: Service, tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from verification.load.model import journeys_of
from verification.load.run import LoadPlan, run_load
from verification.journeys.accounts import SmokeUser
from tests.verification.contract_server import SERVICE
plan = LoadPlan(sys.argv[1], SERVICE, (SmokeUser(*sys.stdin.readline().split()),), users=2, rate=40, seconds=120)
run_load(plan, log=Path(sys.argv[2]))
"""
    argv = [sys.executable, "-c", program, service.url, str(tmp_path / "load.log")]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdin is not None
            parent.stdin.write(f"{USER['email']} {USER['password']}\n")
            parent.stdin.flush()
            wait_until(lambda: "createConsult" in service.seen)
            (child,) = locusts()
        finally:
            parent.kill()
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    assert service.consults == {}


def test_output_of_locust_is_logged_without_secrets(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The locustfile prints its standard input and an Authorization header and then raises."""
    leaky = tmp_path / "leaky.py"
    leaky.write_text(
        "import os, sys\n"
        "given = os.read(0, 65536).decode()\n"
        "print(given, given.encode())\n"
        "print('Authorization: Bearer canary-0123456789', file=sys.stderr)\n"
        "raise RuntimeError(given)\n"
    )
    monkeypatch.setattr("verification.load.processes.LOCUSTFILE", leaky)
    with pytest.raises(LoadFailed) as caught:
        run_load(plan_for(service), log=tmp_path / "load.log")
    log = (tmp_path / "load.log").read_text()
    assert "[redacted]" in log
    assert "RuntimeError" in log
    for canary in (USER["password"], "canary-0123456789"):
        assert canary not in log + str(caught.value)


def test_an_answer_that_grows_beyond_the_limit_is_a_failure_and_not_kept(service: Service, tmp_path: Path) -> None:
    packer = zlib.compressobj(9, wbits=31)
    body = b"".join(packer.compress(bytes(1_000_000)) for _ in range(20)) + packer.flush()
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
    service.raw = head.encode() + body
    result = run_load(plan_for(service, seconds=1), log=tmp_path / "load.log")
    assert [name for name, _ in result.errors] == ["POST login: no answer: TooLargeForLoad"]
    assert result.failure_ratio == 1
