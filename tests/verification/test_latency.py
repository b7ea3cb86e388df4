"""Latency measurement over real sockets: its requests, their order and rate, and the cleanup."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.verification import notes_server
from tests.verification.contract_server import SERVICE, USER, Service
from tests.verification.notes_server import Notes
from verification.journeys.accounts import SmokeUser
from verification.latency.measuring import Measured, measure
from verification.latency.plan import CANDIDATE, LIVE, LatencyLimits, LatencyPlan, operations_of
from verification.latency.repeating import verify
from verification.latency.series import interval


@pytest.fixture
def other() -> Iterator[Service]:
    """The service of the live colour."""
    running = Service()
    yield running
    running.stop()


def plan_of(candidate: Service, live: Service | None = None, **values: float) -> LatencyPlan:
    urls = {CANDIDATE: candidate.url} | ({} if live is None else {LIVE: live.url})
    return LatencyPlan(urls, SERVICE, SmokeUser(**USER), **({"samples": 4, "warmup": 0, "rate": 2000} | values))  # type: ignore[arg-type]  # `samples` and `warmup` are whole numbers


def measured(plan: LatencyPlan) -> Measured:
    return measure(plan, plan.places, hopeless=lambda _: None, wanted=lambda _: [])


def test_both_colours_get_the_same_requests_and_are_cleaned_up(service: Service, other: Service) -> None:
    seen = measured(plan_of(service, other))
    assert seen.failures == []
    assert {len(times) for place, both in seen.times.items() for times in both.values() if "log" not in place[0]} == {4}
    assert {len(times) for place, both in seen.times.items() for times in both.values() if "log" in place[0]} == {1}
    assert service.seen == other.seen
    assert seen.asked[CANDIDATE] == seen.asked[LIVE] == 4 * 14 + 4
    assert (service.consults, other.consults) == ({}, {})
    assert service.seen.count("logout") == service.seen.count("login") == 3  # two measured, and one for the session
    assert seen.late_ms


def test_fresh_and_kept_connections(service: Service) -> None:
    measured(plan_of(service))
    uses = sorted(Counter(service.ports).values())
    assert uses[:-1] == [1] * (4 * 7 + 2)
    assert uses[-1] >= 4 * 7 + 2


def test_requests_keep_to_the_rate(service: Service, other: Service) -> None:
    seen = measured(plan_of(service, other, rate=400))
    assert seen.asked[LIVE] / seen.seconds <= 400


def test_failures_are_counted_and_end_the_measurement(service: Service, other: Service) -> None:
    service.fail = {"listConsults": 500}
    result = verify(plan_of(service, other, samples=20), LatencyLimits())
    assert result.further
    assert any("GET /consults?limit=20: status 500, expected 200" in one.says for one in result.findings)
    assert result.first.asked[CANDIDATE] < 20 * 14


def test_stopped_service_does_not_pass(service: Service) -> None:
    service.stop()
    result = verify(plan_of(service), LatencyLimits())
    assert any("no answer" in one.says for one in result.findings)


def test_operations_are_those_of_the_description() -> None:
    found = operations_of(SERVICE)
    assert {name: (str(one.step.request), one.part, one.beside) for name, one in found.items()} == {
        "health": ("GET /health", 1, ()),
        "healthDatabase": ("GET /health/database", 1, ()),
        "healthRedis": ("GET /health/redis", 1, ()),
        "listConsults": ("GET /consults?limit=20", 1, ()),
        "createConsult": ("POST /consults", 1, ("cancelConsult",)),
        "readConsult": ("GET /consults/${id}", 1, ("createConsult", "cancelConsult")),
        "cancelConsult": ("DELETE /consults/${id}", 1, ("createConsult",)),
        "login": ("POST /auth/login", 0.25, ("logout",)),
        "logout": ("POST /auth/logout", 0.25, ("login",)),
    }


# -- a service of another kind ----------------------------------------------------------------------------------------------

NOTES = {
    "GET /ready": ("GET /ready", 1),
    "PROPFIND /notes": ("PROPFIND /notes", 1),
    "POST /notes": ("POST /notes", 2),  # correcting a note needs one as well
    "GET /notes/${id}": ("GET /notes/{}", 1),
    "DELETE /notes/${id}": ("DELETE /notes/{}", 2),
    "PUT /notes/${id}": ("PUT /notes/{}", 1),
    "PUT /files/${marker}.txt": ("PUT /files/{}", 1),
    "GET /files/${marker}.txt": ("GET /files/{}", 1),
    "DELETE /files/${marker}.txt": ("DELETE /files/{}", 1),
    "GET /count": ("GET /count", 1),
}
"""The measured operations: the server's name of each operation, and how often a round asks it."""


def plan_of_notes(notes: Notes, folder: Path, **values: float) -> LatencyPlan:
    described = notes_server.described(folder)
    urls = {CANDIDATE: notes.url, LIVE: notes.url}
    user = SmokeUser(**notes_server.USER)
    return LatencyPlan(urls, described, user, **({"samples": 4, "warmup": 0, "rate": 2000} | values))  # type: ignore[arg-type]  # as above


def test_basic_auth_without_dependencies_is_measured(notes: Notes, tmp_path: Path) -> None:
    """Both colours write to the same store, and one operation is a step of two journeys."""
    plan = plan_of_notes(notes, tmp_path)
    assert list(plan.operations) == list(NOTES)
    seen = measured(plan)
    assert seen.failures == []
    assert {len(times) for both in seen.times.values() for times in both.values()} == {4}
    for name, (path, times) in NOTES.items():
        health_before_kept = 2 if name == "GET /ready" else 0
        assert notes.seen.count(path) == 4 * 2 * 2 * times + health_before_kept, name
    assert (notes.stored, notes.refused) == ({}, 0)
    assert "DELETE /everything" not in notes.seen


def test_a_part_is_measured_with_the_requests_that_it_needs(notes: Notes, tmp_path: Path) -> None:
    plan = plan_of_notes(notes, tmp_path)
    seen = measure(plan, [("PUT /notes/${id}", "kept")], hopeless=lambda _: None, wanted=lambda _: [])
    assert list(seen.times) == [("PUT /notes/${id}", "kept")]
    assert seen.failures == []
    assert len(seen.times["PUT /notes/${id}", "kept"][CANDIDATE]) == 4
    assert notes.stored == {}
    seen = measure(plan, [("GET /files/${marker}.txt", "fresh")], hopeless=lambda _: None, wanted=lambda _: [])
    assert [name for name, _ in seen.times] == list(NOTES)[6:9]
    assert seen.failures == []


def test_what_fails_before_a_request_is_its_failure(notes: Notes, tmp_path: Path) -> None:
    notes.fail["POST /notes"] = 1000
    seen = measured(plan_of_notes(notes, tmp_path))
    whys = {(name, why) for _, name, why in seen.failures}
    assert whys == {
        ("POST /notes", "status 500, expected 201"),
        ("PUT /notes/${id}", "POST /notes before it: status 500, expected 201"),
    }
    assert seen.of("DELETE /notes/${id}", CANDIDATE) == []
    assert len(seen.of("GET /files/${marker}.txt", CANDIDATE)) == 8


def test_what_could_not_be_removed_is_tried_again_at_the_end(notes: Notes, tmp_path: Path) -> None:
    notes.fail.update({"DELETE /notes/{}": 3, "DELETE /files/{}": 3})
    seen = measured(plan_of_notes(notes, tmp_path))
    assert {why for _, _, why in seen.failures} == {"status 500, expected 204"}
    assert notes.stored == {}


def test_what_a_lost_answer_hides_is_found_by_its_marker(notes: Notes, tmp_path: Path) -> None:
    notes.lose["POST /notes"] = 1
    seen = measured(plan_of_notes(notes, tmp_path))
    assert [(name, why.partition(":")[0]) for _, name, why in seen.failures] == [("POST /notes", "no answer")]
    assert notes.stored == {}


def test_a_service_without_sessions_needs_no_user(notes: Notes, tmp_path: Path) -> None:
    text = "service: x\nhealth: {request: GET /ready, version: none}\ndependencies: none\nsessions: none\njourneys:\n  up: {steps: [{name: up, request: GET /ready}]}\n"
    service = notes_server.described(tmp_path, text)
    plan = LatencyPlan({CANDIDATE: notes.url}, service, None, samples=4, warmup=0, rate=2000)
    result = verify(plan, LatencyLimits())
    assert (result.findings, list(result.operations)) == ((), ["GET /ready"])
    with pytest.raises(ValueError, match="needs a smoke user"):
        replace(plan, service=SERVICE)


def test_interval_holds_the_shift_of_two_samples() -> None:
    """The interval of the Hodges-Lehmann estimate: around 1 for the same times, around 1.5 for times that are 1.5 times as long."""
    live = [10 + n * 0.1 for n in range(60)]
    low, high = interval(live, live)
    assert low < 1 < high
    low, high = interval([one * 1.5 for one in live], live)
    assert 1.3 < low < 1.5 < high < 1.7
    assert interval([1.0], [0.0]) == (1.0, 1.0)
