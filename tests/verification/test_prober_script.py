"""The order of the prober's requests: turns, plays that wait for an answer, sessions, and what follows a failure."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPMessage
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from verification.http.raw_http import Answer
from verification.journeys import sessions
from verification.journeys.accounts import SmokeUser
from verification.journeys.model import Expectation, Journey, Request, Service, Session, Step
from verification.prober import session as prober_session
from verification.prober.config import ProberConfig
from verification.prober.requests import MOST_WRITTEN, Ask, Script

ROUND = 80  # requests, a few cycles
USER = SmokeUser("one@smoke.example", "canary-password-1")


def config(described: Service, **changes: Any) -> ProberConfig:
    values: dict[str, Any] = {
        "base_url": "http://127.0.0.1:1",
        "user": USER,
        "service": described,
        "sign_in_pause_s": 0.0,
    }
    return ProberConfig(**(values | changes))


def answer(ask: Ask, number: int = 0, status: int | None = None, **headers: str) -> Answer:
    """Return the answer that the step expects, or another status."""
    sent = json.loads(ask.prepared.body or b"{}")
    own = ask.prepared.path.rpartition("/")[2] if ask.prepared.step.name == "read" else f"c-{number}"
    items = [{"id": ask.play.values.captured["id"]}] if ask.play and ask.prepared.step.name == "find" else []
    body = {"access_token": f"token-{number}", "status": "ok", "version": "1", "id": own, "items": items} | sent
    message = HTTPMessage()
    for name, value in headers.items():
        message[name] = value
    return Answer(status or ask.prepared.expect.statuses[0], message, json.dumps(body).encode())


def signed_in(described: Service, **changes: Any) -> Script:
    script = Script(config(described, **changes))
    login = next(ask for ask in iter(script.next, None) if ask.operation == "login")
    assert script.learn(login, answer(login)).problem is None
    return script


def requests_of(script: Script, *, slow: str = "") -> Iterator[Ask]:
    """Yield the requests while the step ``slow`` gets no answers; every other answer is as expected."""
    for number in range(ROUND):
        ask = script.next()
        yield ask
        if ask.prepared.step.name != slow:
            assert script.learn(ask, answer(ask, number)).problem is None


def steps(asks: list[Ask]) -> list[str]:
    return [ask.prepared.step.name for ask in asks]


def test_undo_waits_for_the_answer_to_the_step_before(described: Service) -> None:
    """On another connection the cancellation could overtake the read, whose 404 would then count as a failure."""
    script = signed_in(described)
    waiting = list(requests_of(script, slow="read"))
    read = [ask for ask in waiting if ask.prepared.step.name == "read"]
    assert read
    assert not {"find", "cancel", "gone"} & set(steps(waiting))
    (track,) = (track for track in script.tracks if track.journey.name == "book a consult")
    known = [play.values.captured["id"] for play in track.left()]
    assert {ask.prepared.path.rpartition("/")[2] for ask in read} <= set(known), (
        "data of waiting plays is removed at the end"
    )
    assert script.learn(read[0], answer(read[0])).problem is None
    later = list(requests_of(script, slow="read"))
    assert [ask.prepared.path for ask in later if ask.prepared.step.name == "cancel"] == [read[0].prepared.path]


def test_entry_of_a_lost_read_is_removed_and_the_steps_after_it_are_not_asked(described: Service) -> None:
    script = signed_in(described)
    read = next(ask for ask in requests_of(script, slow="read") if ask.prepared.step.name == "read")
    assert script.learn(read, None).problem is None  # the process reports the problem
    later = [ask for ask in requests_of(script, slow="read") if ask.play is read.play]
    assert steps(later) == ["cancel", "gone"]
    assert later[0].prepared.path == read.prepared.path
    assert script.not_asked == {"listConsults": 1}


def test_failed_creation_leaves_nothing_to_undo(described: Service) -> None:
    script = signed_in(described)
    book = next(ask for ask in iter(script.next, None) if ask.prepared.step.name == "book")
    assert script.learn(book, answer(book, status=500)).problem == "status 500, expected 201"
    assert script.not_asked == {"readConsult": 1, "listConsults": 1}
    assert all(ask.play is not book.play for ask in requests_of(script))


def test_stuck_steps_block_neither_health_nor_other_journeys(described: Service) -> None:
    script = signed_in(described)
    seen: Counter[str] = Counter()
    for _ in range(10):
        seen.update(steps(list(requests_of(script, slow="book"))))
    assert seen["book"] == MOST_WRITTEN, "a bounded number of plays write at a time"
    assert set(seen) == {"health", "list", "book"}
    assert seen["health"] >= 3 / 8 * seen.total()


def test_kept_and_fresh_connections_alternate_for_each_kind_of_request(described: Service) -> None:
    script = signed_in(described)
    kinds: dict[str, list[str]] = defaultdict(list)
    for ask in requests_of(script):
        kinds[ask.prepared.step.name].append(ask.kind)
    assert set(kinds) == {"health", "list", "book", "read", "find", "cancel", "gone"}
    for seen in kinds.values():
        assert all(one != other for one, other in pairwise(seen))
    assert {seen[0] for seen in kinds.values()} == {"kept", "fresh"}


def test_intervals_are_those_of_the_requests(described: Service) -> None:
    told = config(described, rate=48.0)
    script, seen = Script(told), Counter[str]()
    for number in range(48 * 20):
        ask = script.next()
        script.learn(ask, answer(ask, number))
        seen[ask.operation] += 1
    intervals = told.intervals()
    assert set(intervals) == set(seen) - {"login"}
    for operation, seconds in intervals.items():
        assert seen[operation] == pytest.approx(20 / seconds, abs=3)
    assert sum(1 / seconds for seconds in intervals.values()) == pytest.approx(48)


def test_lost_session_is_signed_in_again_and_undo_goes_on_in_it(described: Service) -> None:
    script = signed_in(described)
    asked = next(ask for ask in requests_of(script, slow="read") if ask.prepared.step.name == "read")
    assert asked.headers["Authorization"] == "Bearer token-0"
    assert script.learn(asked, answer(asked, status=401)).problem == "status 401, expected 200"
    again = script.next()
    assert again.operation == "login"
    while_it_waits = [script.next() for _ in range(ROUND)]
    assert {ask.operation for ask in while_it_waits} == {"health"}
    script.learn(again, answer(again, 7))
    cancel = next(ask for ask in requests_of(script) if ask.prepared.step.name == "cancel")
    assert (cancel.play, cancel.headers["Authorization"]) == (asked.play, "Bearer token-7")


def test_answer_of_an_earlier_session_does_not_end_the_new_one(described: Service) -> None:
    script = signed_in(described)
    first, second = [ask for ask in requests_of(script, slow="list") if ask.prepared.step.name == "list"][:2]
    script.learn(first, answer(first, status=401))
    login = script.next()
    assert login.operation == "login"
    script.learn(login, answer(login, 7))
    script.learn(second, answer(second, status=401))
    assert all(ask.operation != "login" for ask in requests_of(script))


def test_session_is_renewed_before_it_expires(described: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    for module in (prober_session, sessions):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    script = Script(config(described))
    login = script.next()
    body = json.dumps({"access_token": "old", "expires_in": 100}).encode()
    script.learn(login, Answer(200, HTTPMessage(), body))
    assert "login" not in {ask.operation for ask in requests_of(script)}
    now += 81
    renewed = [ask for ask in requests_of(script) if ask.operation == "login"]
    assert len(renewed) == 1


def test_without_a_user_or_without_journeys_health_alone_is_asked(described: Service) -> None:
    for script in (
        Script(config(described, user=None)),
        Script(config(replace(described, journeys=()))),
        Script(config(replace(described, journeys=(), sessions={}), user=None)),
    ):
        asks = [script.next() for _ in range(ROUND)]
        assert {(ask.operation, ask.kind) for ask in asks} == {("health", "kept"), ("health", "fresh")}
    assert config(described, user=None, rate=10.0).intervals() == {"health": pytest.approx(0.1)}


def test_journey_that_is_not_live_gives_its_reading_steps_only(described: Service) -> None:
    quiet = replace(described, journeys=tuple(replace(one, live=False) for one in described.journeys))
    assert set(steps(list(requests_of(signed_in(quiet))))) == {"health", "list"}


PAGES = Journey("look", (Step("look", "look", Request("GET", "/pages"), Expectation((200,))),), session="user")


def test_entries_named_by_the_marker_are_written_one_after_the_other(described: Service) -> None:
    """Two plays at a time would write, read and delete the same entry."""

    def step(name: str, method: str, status: int) -> Step:
        return Step(name, name, Request(method, "/files/${marker}"), Expectation((status,)))

    file = Journey(
        "file", (step("put", "PUT", 201), step("get", "GET", 200)), (step("drop", "DELETE", 204),), live=True
    )
    script = Script(config(replace(described, journeys=(file,))))
    put = next(ask for ask in iter(script.next, None) if ask.operation == "put")
    assert set(steps([script.next() for _ in range(ROUND)])) == {"health"}, "the next play waits for this one"
    script.learn(put, answer(put))
    assert steps([ask for ask in requests_of(script) if ask.play is not None])[:4] == ["get", "drop", "put", "get"]


@pytest.mark.parametrize(
    ("session", "headers"),
    [
        (Session("user", "none"), {}),
        (Session("user", "basic"), {"Authorization": "Basic b25lQHNtb2tlLmV4YW1wbGU6Y2FuYXJ5LXBhc3N3b3JkLTE="}),
        (Session("user", "api-key", header="X-Api-Key"), {"X-Api-Key": "canary-password-1"}),
    ],
)
def test_sessions_that_need_no_sign_in(described: Service, session: Session, headers: dict[str, str]) -> None:
    script = Script(config(replace(described, sessions={"user": session}, journeys=(PAGES,))))
    asks = list(requests_of(script))
    assert set(steps(asks)) == {"health", "look"}
    for ask in asks:
        carried = {name: value for name, value in ask.headers.items() if name in ("Authorization", "X-Api-Key")}
        assert carried == (headers if ask.operation == "look" else {})
    refused = next(ask for ask in iter(script.next, None) if ask.operation == "look")
    assert script.learn(refused, answer(refused, status=401)).problem == "status 401, expected 200"
    assert {"health", "look"} == set(steps(list(requests_of(script)))), "there is nothing to sign in to"


def test_cookie_session(described: Service) -> None:
    sign_in = Step(
        "sign in",
        "login",
        Request("POST", "/in", body_kind="form", body={"u": "${account.email}"}),
        Expectation((204,)),
    )
    service = replace(described, sessions={"user": Session("user", "cookie", sign_in=sign_in)}, journeys=(PAGES,))
    script = Script(config(service))
    login = script.next()
    assert (login.operation, login.prepared.body) == ("login", b"u=one%40smoke.example")
    no_cookie = Answer(204, HTTPMessage(), b"")
    assert script.learn(login, no_cookie).problem == "the answer sets no cookie"
    script = Script(config(service))
    login = script.next()
    message = HTTPMessage()
    message["Set-Cookie"] = "sid=abc; HttpOnly"
    assert script.learn(login, Answer(204, message, b"")).problem is None
    look = next(ask for ask in iter(script.next, None) if ask.operation == "look")
    assert look.headers["Cookie"] == "sid=abc"


@pytest.mark.parametrize(
    ("name", "status", "body", "problem"),
    [
        ("list", 200, b'{"items": "canary"}', "$.items is not as expected"),
        ("book", 201, b'{"reason": "canary"}', "$.reason is not as expected"),
        ("read", 200, b'{"id": "canary"}', "$.id is not as expected"),
        ("list", 200, b"canary", "the body is not JSON"),
        ("list", 200, b"[" * 100_000, "the body is not JSON"),
    ],
)
def test_nothing_of_a_users_answer_is_quoted(
    described: Service, name: str, status: int, body: bytes, problem: str
) -> None:
    script = signed_in(described)
    asked = next(ask for ask in requests_of(script, slow=name) if ask.prepared.step.name == name)
    assert script.learn(asked, Answer(status, HTTPMessage(), body)).problem == problem


def test_health_says_what_was_wrong_and_which_version_it_is(described: Service) -> None:
    script = Script(config(described))
    ask = next(ask for ask in iter(script.next, None) if ask.operation == "health")
    judged = script.learn(ask, Answer(200, HTTPMessage(), b'{"status": "degraded", "version": "1.2.3"}'))
    assert (judged.problem, judged.version) == ('$.status is "degraded", expected "ok"', "1.2.3")


def test_configuration_comes_through_a_pipe_as_it_was(described: Service) -> None:
    told = config(described, rate=7.0, control_url="http://127.0.0.1:2", control_rate=2.0)
    again = ProberConfig.from_line(told.to_line())
    assert (again.user, again.rate, again.run, again.schedule) == (USER, 7.0, told.run, told.schedule)
    assert again.service.health == described.health
    nobody = ProberConfig.from_line(config(described, user=None).to_line())
    assert nobody.user is None
