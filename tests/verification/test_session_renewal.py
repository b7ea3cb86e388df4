"""Sessions that the service opens are renewed before they end: in the latency gate with a fake clock, in the load with short tokens."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from email.message import Message
from http.client import HTTPMessage
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from plugins.fixtures import Session as Deployment
from plugins.recorder import Recorder
from tests.verification.token_server import CLIENT, Servers, described
from verification.declarative.service import load_service
from verification.http.raw_http import Answer
from verification.journeys import sessions
from verification.journeys.model import Service
from verification.journeys.placeholders import Values
from verification.journeys.sessions import Credentials, account_of
from verification.latency import asking
from verification.latency.asking import Asker, Unanswered
from verification.latency.plan import CANDIDATE, LatencyPlan, Operation
from verification.load.model import LoadPlan
from verification.load.run import run_load
from verification.prober import session as prober_session
from verification.prober.session import ProberSession

OWN_TOKEN = described("/token")
SIGN_IN = "sign_in: {request: POST /token, expect: {status: 200}, "
BEARER = SIGN_IN + "token: $.access_token, expires_in: $.expires_in}"
COOKIE = SIGN_IN + "expires_in: $.expires_in}"
KINDS = {
    "oauth2-client-credentials": OWN_TOKEN,
    "bearer": OWN_TOKEN.replace("oauth2-client-credentials", "bearer").replace("token_url: /token", BEARER),
    "cookie": OWN_TOKEN.replace("oauth2-client-credentials", "cookie").replace("token_url: /token", COOKIE),
}


@dataclass
class Colour:
    """A service with a clock of its own, in seconds; its sessions end ``lifetime_s`` after their sign-in."""

    now: float = 1000.0
    lifetime_s: float | None = 300
    sign_in_status: int = 200
    sign_in_s: float = 0.0
    ends: dict[str, float] = field(default_factory=dict)
    count: Counter[str] = field(default_factory=Counter)

    def answer(self, method: str, path: str, headers: dict[str, str], _body: bytes | None) -> Answer:
        self.count[f"{method} {path}"] += 1
        if path == "/token":
            return self._signed_in()
        if path == "/up":
            return _answer(200, {"status": "ok"})
        given = headers.get("Authorization", "").removeprefix("Bearer ") or headers.get("Cookie", "").partition("=")[2]
        ok = self.ends.get(given, 0) > self.now
        self.count["401"] += not ok
        return _answer(200, {"entries": []}) if ok else _answer(401, {})

    def _signed_in(self) -> Answer:
        self.now += self.sign_in_s
        if self.sign_in_status != 200:
            return _answer(self.sign_in_status, {})
        token = f"canary-{self.count['POST /token']}"
        self.ends[token] = self.now + (self.lifetime_s or float("inf"))
        lifetime = {} if self.lifetime_s is None else {"expires_in": self.lifetime_s}
        return _answer(200, {"access_token": token, "token_type": "Bearer", **lifetime}, f"sid={token}; Path=/")


def _answer(status: int, body: dict[str, Any], cookie: str | None = None) -> Answer:
    headers: Message = HTTPMessage()
    headers["Content-Type"] = "application/json"
    if cookie is not None:
        headers["Set-Cookie"] = cookie
    assert isinstance(headers, HTTPMessage)
    return Answer(status, headers, json.dumps(body).encode())


@pytest.fixture
def colour(monkeypatch: pytest.MonkeyPatch) -> Colour:
    """A fake service. The clock of the asker and of sessions is the service's."""
    found = Colour()
    clock = SimpleNamespace(monotonic=lambda: found.now, perf_counter=lambda: found.now)
    connection = SimpleNamespace(usable=True, close=lambda: None, ask=found.answer)
    monkeypatch.setattr(sessions, "time", clock)
    monkeypatch.setattr(asking, "time", clock)
    monkeypatch.setattr(asking, "Connection", lambda *_: connection)
    return found


def service_of(folder: Path, text: str) -> Service:
    path = folder / "service.yaml"
    path.write_text(text, encoding="utf-8")
    return load_service(path, "suites/service.yaml")


def signed_in(folder: Path, kind: str) -> tuple[Asker, Operation]:
    plan = LatencyPlan({CANDIDATE: "http://x"}, service_of(folder, KINDS[kind]), CLIENT)
    asker = Asker("http://x", plan, None)
    asker.sign_in()
    return asker, plan.operations["GET /ledger"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lifetime_s", [300, 20])
def test_latency_signs_in_again_before_a_session_ends(
    colour: Colour, tmp_path: Path, kind: str, lifetime_s: float
) -> None:
    """No timed request meets the end of the session, and none contains the time of the sign-in."""
    colour.lifetime_s, colour.sign_in_s = lifetime_s, 0.5
    asker, operation = signed_in(tmp_path, kind)
    begun = colour.now
    while colour.now < begun + 3 * lifetime_s:
        assert asker.ask(operation, "kept") == 0
        assert asker.ask(operation, "fresh") == 0
        colour.now += lifetime_s / 20
    assert colour.count["401"] == 0
    assert colour.count["POST /token"] == 4


@pytest.mark.parametrize("lifetime_s", [None, 3600])
def test_latency_signs_in_once_if_the_session_lasts(colour: Colour, tmp_path: Path, lifetime_s: float | None) -> None:
    colour.lifetime_s = lifetime_s
    asker, operation = signed_in(tmp_path, "bearer")
    for _ in range(100):
        asker.ask(operation, "kept")
        colour.now += 20
    assert colour.count["POST /token"] == 1


def test_latency_signs_in_again_after_a_401(colour: Colour, tmp_path: Path) -> None:
    """The 401 itself is a failure."""
    asker, operation = signed_in(tmp_path, "bearer")
    colour.ends.clear()
    with pytest.raises(Unanswered, match="401"):
        asker.ask(operation, "kept")
    assert asker.ask(operation, "kept") == 0
    assert colour.count["POST /token"] == 2


def test_a_service_that_refuses_each_session_gets_a_sign_in_in_a_second(colour: Colour, tmp_path: Path) -> None:
    """A sign-in costs more than other requests, and many may lock an account."""
    colour.lifetime_s = -1
    asker, operation = signed_in(tmp_path, "cookie")
    for _ in range(40):
        with pytest.raises(Unanswered, match="401"):
            asker.ask(operation, "fresh")
        colour.now += 0.125
    assert colour.count["POST /token"] == 6


def test_a_failed_renewal_is_a_failure_and_is_tried_again(colour: Colour, tmp_path: Path) -> None:
    """A request that needs no session is not affected, and cleaning up raises nothing."""
    asker, operation = signed_in(tmp_path, "cookie")
    up = asker._plan.operations["GET /up"]
    colour.now += 241
    colour.sign_in_status = 503
    assert asker.ask(up, "kept") == 0
    with pytest.raises(Unanswered, match="POST /token: status 503"):
        asker.ask(operation, "kept")
    assert asker.ask(operation, "kept") == 0, "the old session lasts until the next attempt"
    colour.now += 1
    colour.sign_in_status = 200
    assert asker.ask(operation, "kept") == 0
    assert colour.count["POST /token"] == 3
    asker.clear()


@pytest.mark.parametrize(("lasts_s", "ends_after_s"), [(300, 240), (10, 8), (0.1, 1), (float("inf"), None)])
def test_when_a_session_is_ending(colour: Colour, lasts_s: float, ends_after_s: float | None) -> None:
    found = Credentials(lasts_s=lasts_s)
    colour.now += (ends_after_s or 1e9) - 0.01
    assert not found.is_ending
    colour.now += 0.02
    assert found.is_ending == (ends_after_s is not None)


@pytest.mark.parametrize("lasts_s", [300, 10, 0.1, float("inf")])
@pytest.mark.parametrize("user", ["the checks", "the prober"])
def test_checks_and_prober_sign_in_again_when_a_session_is_ending(
    colour: Colour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: str, lasts_s: float
) -> None:
    """At the same time as the latency gate and the load, so at most once in a second."""
    monkeypatch.setattr(prober_session, "time", SimpleNamespace(monotonic=lambda: colour.now))
    session = service_of(tmp_path, KINDS["bearer"]).sessions["machine"]
    colour.lifetime_s = None if lasts_s == float("inf") else lasts_s
    times: list[float] = []
    opened = Credentials(lasts_s=lasts_s)
    checks, client = Deployment(cast("pytest.Config", None), Recorder()), httpx.Client(base_url="http://x")
    prober = ProberSession(session, Values(account_of(CLIENT), "a marker"), 0)

    def sign_in() -> Credentials:
        nonlocal opened
        times.append(colour.now)
        opened = Credentials(lasts_s=lasts_s)
        return opened

    monkeypatch.setattr(checks, "new_credentials", lambda *_: sign_in())
    for _ in range(5000):
        expected = not times or opened.is_ending
        count = len(times)
        if user == "the checks":
            checks.credentials(client, session, CLIENT)
        elif (asked := prober.due()) is not None:
            sign_in()
            answer = colour.answer(asked.method, asked.path, dict(asked.headers), asked.body)
            assert prober.learn(asked, answer) is None
        assert (len(times) > count) == expected
        colour.now += 0.0625
    client.close()
    assert len(times) == {300: 2, 10: 40, 0.1: 313}.get(lasts_s, 1)


def test_the_load_signs_in_again_before_a_session_ends(tmp_path: Path) -> None:
    """Each user renews its own session; the service refuses an ended token."""
    servers = Servers()
    servers.lifetime_s, servers.ends_tokens = 1.5, True
    try:
        plan = LoadPlan(servers.url, service_of(tmp_path, OWN_TOKEN), (CLIENT,), users=2, rate=40, seconds=3.5)
        result = run_load(plan, log=tmp_path / "locust.log")
    finally:
        servers.stop()
    assert (result.failures, servers.refused) == (0, 0)
    assert len(servers.requests) >= 4
