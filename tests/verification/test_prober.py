"""The prober process over real sockets."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.verification.contract_server import USER, Service
from verification.journeys.accounts import SmokeUser
from verification.journeys.model import Service as Described
from verification.prober import process
from verification.prober.config import ProberConfig
from verification.prober.prober import Prober, ProberFailed
from verification.watch.baseline import baseline
from verification.watch.slowness import Control, SlowLimits

ROOT = Path(__file__).resolve().parents[2]
Start = Callable[..., Prober]


@pytest.fixture
def start(service: Service, described: Described, tmp_path: Path) -> Iterator[Start]:
    probers: list[Prober] = []

    def begin(**settings: object) -> Prober:
        values = {"rate": 100.0, "sign_in_pause_s": 0.1, "stderr_log": str(tmp_path / "prober.log")} | settings
        probers.append(Prober.start(ProberConfig(service.url, SmokeUser(**USER), described, **values)))  # type: ignore[arg-type]  # one dict with values of all types
        return probers[-1]

    yield begin
    for prober in probers:
        prober.stop()


def wait_until(condition: Callable[[], bool], deadline_s: float = 20) -> None:
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, f"the condition was not true within {deadline_s} s"
        time.sleep(0.01)  # pause of a poll with a deadline


def test_reads_and_writes_on_kept_and_fresh_connections(start: Start, service: Service) -> None:
    prober = start()
    prober.wait_for_samples(100, 20)
    samples = prober.samples()
    assert prober.failures() == []
    assert {(s.operation, s.kind) for s in samples} >= {
        (operation, kind)
        for operation in ("health", "listConsults", "createConsult", "readConsult", "cancelConsult")
        for kind in ("kept", "fresh")
    }
    assert {(s.colour, s.generation) for s in samples} == {("blue", 7)}
    assert {s.version for s in samples if s.operation == "health"} == {"1.0.0"}
    assert all(s.done >= s.at for s in samples)
    assert service.hosts == {f"api.telehealth.localhost:{service.port}"}
    assert len(set(service.ports)) < len(service.ports), "no connection was kept"
    prober.stop()
    assert service.consults == {}
    assert (prober.alive, prober.problem) == (False, None)
    prober.stop()


def test_failure_is_a_sample_and_is_not_retried(start: Start, service: Service) -> None:
    prober = start()
    prober.wait_for_samples(20, 20)
    since = time.time()
    service.fail = {"health": 503}
    wait_until(lambda: len(prober.failures(since)) >= 5)
    service.fail = {}
    failure = prober.failures()[0]
    assert (failure.operation, failure.status, failure.problem) == ("health", 503, "status 503, expected 200")
    prober.stop()
    assert Counter(s.operation for s in prober.samples())["health"] <= service.seen.count("health")
    assert service.logins == 1


def test_lost_session_is_one_failure_and_a_new_sign_in(start: Start, service: Service) -> None:
    prober = start()
    prober.wait_for_samples(20, 20)
    service.tokens.clear()
    wait_until(lambda: service.logins == 2 and bool(prober.failures()))
    count = len(prober.samples())
    prober.wait_for_samples(count + 60, 20)
    assert {s.status for s in prober.failures()} == {401}
    assert prober.samples()[-1].ok


def test_failed_sign_in_does_not_stop_the_prober(start: Start, service: Service) -> None:
    service.fail = {"login": 500}
    prober = start()
    wait_until(lambda: len(prober.failures()) >= 2)
    assert {s.operation for s in prober.failures()} == {"login"}
    service.fail = {}
    wait_until(lambda: any(s.operation == "createConsult" and s.ok for s in prober.samples()))
    assert prober.alive


def test_slow_answer_does_not_delay_other_requests(start: Start, service: Service) -> None:
    prober = start(timeout_s=1.0)
    prober.wait_for_samples(30, 20)
    service.delays = {"listConsults": 30.0}
    wait_until(lambda: any(s.problem and "WireTimeout" in s.problem for s in prober.failures()))
    slow = next(s for s in prober.failures() if s.problem and "WireTimeout" in s.problem)
    assert slow.status is None
    others = [s for s in prober.samples() if s.ok and slow.at < s.done < slow.done]
    assert len(others) > 10


def test_broken_answer_is_a_failure(start: Start, service: Service) -> None:
    prober = start()
    prober.wait_for_samples(20, 20)
    service.raw = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{"
    wait_until(lambda: any("IncompleteRead" in str(s.problem) for s in prober.failures()))
    service.raw = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n[1]\n"
    wait_until(lambda: any(s.problem == '$ is an array of 1, expected {"status": "ok"}' for s in prober.failures()))
    assert prober.alive


def test_refused_connections_are_failures(described: Described) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound but not listening, so connections are refused
        url = f"http://api.telehealth.localhost:{bound.getsockname()[1]}"
        with Prober.start(ProberConfig(url, SmokeUser(**USER), described, rate=100)) as prober:
            prober.wait_for_samples(5, 20)
            assert all("ConnectionRefusedError" in str(s.problem) for s in prober.samples())
            assert len(prober.failures()) == len(prober.samples())


@pytest.mark.parametrize(
    ("kind", "status", "problem"),
    [
        ("errors", 503, "status 503, expected 200"),
        pytest.param("hangs", None, "WireTimeout: no complete answer within 0.3 s", marks=pytest.mark.soak),
        pytest.param("silent", None, "WireTimeout: no complete answer within 0.3 s", marks=pytest.mark.soak),
        pytest.param("refuses", None, "ConnectionRefusedError: ", marks=pytest.mark.soak),
    ],
)
def test_control_that_gives_no_good_answer(
    start: Start, service: Service, kind: str, status: int | None, problem: str
) -> None:
    """Each request to it is a failed sample of the control, so none excuses a slow release; the live domain is not affected."""
    other = Service()
    other.fail = {"health": 503, "login": 503} if kind == "errors" else {}
    other.delays = {"health": 30.0, "login": 30.0} if kind == "hangs" else {}
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        if kind == "silent":
            bound.listen()  # the system accepts connections, but no process reads them
        port = other.port if kind in {"errors", "hangs"} else bound.getsockname()[1]
        prober = start(timeout_s=0.3, control_url=f"http://127.0.0.1:{port}", control_rate=40.0)
        wait_until(lambda: len(prober.controls_from(0)) >= 10)
        prober.wait_for_samples(20, 20)
        controls = prober.controls_from(0)
        prober.stop()
    other.stop()
    assert {(one.ok, one.status, one.control) for one in controls} == {(False, status, True)}
    assert all(str(one.problem).startswith(problem) for one in controls)
    assert prober.failures() == []
    timed = Control(SlowLimits())
    for one in controls:
        timed.feed(one, baseline([]))
    assert timed.since(0) == []


def test_killed_prober_is_reported(start: Start) -> None:
    prober = start()
    prober.wait_for_samples(5, 20)
    os.kill(prober.pid, signal.SIGKILL)
    wait_until(lambda: not prober.alive)
    assert "killed by signal 9" in str(prober.problem)
    with pytest.raises(ProberFailed, match="killed by signal 9"):
        prober.wait_for_samples(10**6, 20)
    prober.stop()
    assert "killed by signal 9" in str(prober.problem)


@pytest.mark.parametrize("raw", ["\x1b[41mOK", "O\x07K", "\u202eOK"])
def test_log_has_no_control_characters_of_a_service(raw: str, capsys: pytest.CaptureFixture[str]) -> None:
    process._log(f"BadStatusLine: HTTP/1.1 200 {raw}")
    assert capsys.readouterr().err.endswith(" BadStatusLine: HTTP/1.1 200 OK\n")


def test_credentials_are_in_no_command_line_no_environment_and_no_log(start: Start, service: Service) -> None:
    service.fail = {"login": 401}
    prober = start()
    wait_until(lambda: bool(prober.failures()))
    process = psutil.Process(prober.pid)
    shown = json.dumps([process.cmdline(), process.environ(), [s.to_line() for s in prober.samples()]])
    assert USER["password"] not in shown
    assert os.getsid(prober.pid) == prober.pid != os.getsid(0)


def test_prober_ends_with_its_parent_and_deletes_its_consults(service: Service) -> None:
    # The prober gets its own parent process, which is killed and cannot stop it.
    program = """
import sys
from pathlib import Path
from verification.declarative.service import load_service
from verification.journeys.accounts import SmokeUser
from verification.watch.baseline import baseline
from verification.prober.prober import Prober, ProberConfig
described = load_service(Path("suites/service.yaml"), "suites/service.yaml")
prober = Prober.start(ProberConfig(sys.argv[1], SmokeUser(*sys.stdin.readline().split()), described, rate=100))
prober.wait_for_samples(40, 20)
print(prober.pid, flush=True)
sys.stdin.read()
"""
    argv = [sys.executable, "-c", program, service.url]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdin is not None
            assert parent.stdout is not None
            parent.stdin.write(f"{USER['email']} {USER['password']}\n")
            parent.stdin.flush()
            child = psutil.Process(int(parent.stdout.readline()))
        finally:
            parent.kill()
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    assert "createConsult" in service.seen
    assert service.consults == {}


def test_consult_of_a_lost_answer_is_deleted(start: Start, service: Service) -> None:
    prober = start(run="run-of-this-test")
    prober.wait_for_samples(30, 20)
    orphan = {"id": "0b0e7a3e-0000-4e0b-9d2b-6f0a5f1c2d3e", "reason": "availability probe run-of-this-test"}
    service.consults[orphan["id"]] = orphan
    service.consults["other"] = {"id": "other", "reason": "of another user"}
    prober.stop()
    assert list(service.consults) == ["other"]


@pytest.mark.parametrize("values", [{"rate": 0}, {"rate": -1}, {"timeout_s": 0}, {"base_url": "ftp://x"}])
def test_invalid_prober_configuration_is_refused(values: dict[str, object], described: Described) -> None:
    with pytest.raises(ValueError, match="prober"):
        ProberConfig(**({"base_url": "http://x", "user": SmokeUser("a", "b"), "service": described} | values))  # type: ignore[arg-type]  # wrong on purpose


def test_control_is_probed_and_recorded_separately(start: Start, service: Service) -> None:
    """It has its own address and marker and sends the same requests; it ends with the prober and is cleaned up."""
    prober = start(control_url=f"http://127.0.0.1:{service.port}", control_rate=50.0)
    wait_until(lambda: len(prober.controls_from(0)) >= 20)
    assert len(prober.samples()) >= 10
    assert all(sample.control and sample.ok for sample in prober.controls_from(0))
    assert not any(sample.control for sample in prober.samples())
    assert f"127.0.0.1:{service.port}" in service.hosts
    prober.stop()
    assert service.consults == {}
