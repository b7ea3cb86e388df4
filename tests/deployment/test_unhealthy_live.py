"""A rollback to a colour that was unhealthy before the deployment: it is not required to be better than it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deployment.model import Answer, Findings, Reason
from deployment.phases import Phase
from deployment.plan import DeploymentRecord
from deployment.recovery.status import WITHOUT_USERS, describe
from deployment.recovery.undo import Undo
from tests.deployment.fakes import BLUE, GREEN, OLD, FakeRegistry
from tests.deployment.fakes import NEW as RELEASE
from tests.deployment.harness import GATES, Deployment

NO_DATABASE = "GET /health/database: status 404"
NO_LIST = "GET /consults: status 500"
NEW = "POST /consults: status 500"
HARM = Reason("live", "the prober's requests failed: GET /health/database: status 404")


def promoted(one: Deployment, *problems: str) -> Deployment:
    """Deploy to green although blue, which is live, has these problems."""
    one.cloud.sides[BLUE].fails_users = problems
    one.machine.lease(allow_unhealthy_live="1.1.0 mends it")
    one.machine.provision()
    one.machine.promote(GATES)
    return one


@pytest.mark.parametrize("problems", [(NO_DATABASE,), (NO_DATABASE, NO_LIST)])
def test_rollback_excuses_the_problems_from_before(one: Deployment, problems: tuple[str, ...]) -> None:
    """A service without /health/database is rolled back, and the report names the problem that remains."""
    promoted(one, *problems).machine.abandon(HARM)
    assert one.machine.phase is Phase.ROLLED_BACK
    assert one.cloud.routes.live is BLUE
    for problem in problems:
        assert problem in str(one.machine.reason).partition("as before the deployment")[2]
    assert not one.cloud.sides[GREEN].running
    (sick,) = [record.data for record in one.records() if record.kind == "sick"]
    assert sick["problems"] == list(problems)


@pytest.mark.parametrize("problem", [NO_DATABASE, NEW])
def test_problem_that_comes_and_goes_is_excused(one: Deployment, monkeypatch: pytest.MonkeyPatch, problem: str) -> None:
    """Two tries in a row saw it, and the examination that lists all problems did not."""
    with monkeypatch.context() as while_it_begins:
        while_it_begins.setattr(one.ports.front, "inspect", lambda: Findings((), ()))
        promoted(one, problem)
    one.machine.abandon(HARM)
    assert one.machine.phase is Phase.ROLLED_BACK
    assert problem in str(one.machine.reason).partition("as before the deployment")[2]


def test_check_that_fails_otherwise_than_before_is_excused(one: Deployment) -> None:
    """The same check failed before; what it fails with now is named."""
    promoted(one, NO_DATABASE)
    one.cloud.sides[BLUE].fails_users = "GET /health/database: ReadTimeout"
    one.machine.abandon(HARM)
    assert one.machine.phase is Phase.ROLLED_BACK
    assert str(one.machine.reason).endswith("GET /health/database: ReadTimeout")


def test_problem_that_is_gone_is_not_named(one: Deployment) -> None:
    promoted(one, NO_DATABASE)
    one.cloud.sides[BLUE].fails_users = None
    one.machine.abandon(HARM)
    assert (one.machine.phase, one.machine.reason) == (Phase.ROLLED_BACK, HARM)


@pytest.mark.parametrize(
    ("before", "now", "new"),
    [
        ((NO_DATABASE,), (NO_DATABASE, NEW), NEW),
        ((NO_DATABASE, NO_LIST), (NO_LIST, NEW, NO_DATABASE), NEW),
        ((NO_LIST,), (NO_DATABASE,), NO_DATABASE),
    ],
    ids=["after the old one", "between old ones", "instead of the old one"],
)
def test_new_problem_needs_a_person(one: Deployment, before: tuple[str, ...], now: tuple[str, ...], new: str) -> None:
    """Only a problem that was journalled before provisioning is excused, also if the new one comes after it."""
    promoted(one, *before)
    one.cloud.sides[BLUE].fails_users = now
    one.machine.abandon(HARM)
    assert one.machine.phase is Phase.HALTED
    assert f"traffic is back on blue, but {new}" in str(one.machine.reason)


def test_recover_excuses_no_new_problem(one: Deployment, tmp_path: Path) -> None:
    promoted(one, NO_DATABASE).mark_dead()
    one.cloud.sides[BLUE].fails_users = (NO_DATABASE, NO_LIST)
    assert one.recover(tmp_path / "elsewhere") is Phase.HALTED


READ = "GET /consults/${id}: status 200, expected 404"
"""A consult can still be read after it was cancelled; another step reads it before, by the same request."""


@pytest.mark.parametrize(
    ("now", "phase"),
    [
        ("GET /consults/${id}: status 500, expected 200", Phase.HALTED),
        ("GET /consults/${id}: status 500, expected 404", Phase.ROLLED_BACK),
        ("GET /consults/${id}: ReadTimeout", Phase.ROLLED_BACK),
    ],
)
def test_another_check_with_the_same_request_is_not_excused(one: Deployment, now: str, phase: Phase) -> None:
    promoted(one, READ)
    one.cloud.sides[BLUE].fails_users = now
    one.machine.abandon(HARM)
    assert one.machine.phase is phase


def test_problem_is_not_excused_without_the_option(one: Deployment) -> None:
    one.to_verified()
    one.machine.promote(GATES)
    one.cloud.sides[BLUE].fails_users = NO_DATABASE
    one.machine.abandon(HARM)
    assert one.machine.phase is Phase.HALTED


def test_colour_that_does_not_answer_gets_no_traffic(one: Deployment) -> None:
    """A dead colour is never better than the candidate, also if it was unhealthy before."""
    promoted(one, NO_DATABASE)
    one.cloud.sides[BLUE].running = False
    one.machine.abandon(HARM)
    assert one.machine.phase is Phase.HALTED
    assert one.cloud.routes.live is GREEN


NO_LIVEZ = "GET /livez: status 404, expected 200"
SICK = "GET /health: status 503, expected 200"
NOT_UP = "GET /health: $.status is not as expected"
SICK_BEFORE = [(NO_LIVEZ, 404), (SICK, 503), (NOT_UP, 200)]


def sick(one: Deployment, problem: str, status: int | None) -> Deployment:
    """Deploy to green although the health check of blue, which is live, fails with this problem."""
    blue = one.cloud.sides[BLUE]
    blue.error, blue.status = problem, status
    one.machine.lease(allow_unhealthy_live="1.1.0 mends it")
    one.machine.provision()
    one.machine.promote(GATES)
    return one


@pytest.mark.parametrize(("problem", "status"), SICK_BEFORE)
def test_health_check_that_fails_as_before_takes_the_traffic_back(one: Deployment, problem: str, status: int) -> None:
    """An older release has no /livez, for example; it is alive, and the candidate does harm."""
    sick(one, problem, status).machine.abandon(HARM)
    assert one.machine.phase is Phase.ROLLED_BACK
    assert one.cloud.routes.weights == {BLUE: 100, GREEN: 0}
    assert str(one.machine.reason).endswith(f"as before the deployment: {problem}")


@pytest.mark.parametrize(("problem", "status"), SICK_BEFORE)
def test_recover_goes_back_to_a_health_check_that_fails_as_before(
    one: Deployment, problem: str, status: int, tmp_path: Path
) -> None:
    sick(one, problem, status).mark_dead()
    elsewhere = tmp_path / "elsewhere"
    assert one.recover(elsewhere) is Phase.ROLLED_BACK
    assert one.report(elsewhere)["reason"].endswith(f"as before the deployment: {problem}")


def way_back(one: Deployment) -> dict[str, Any]:
    """Return what ``status`` says about a rollback."""
    found: dict[str, Any] = describe("test", "http://live.example", one.ports, FakeRegistry(OLD, RELEASE))["rollback"]
    return found


@pytest.mark.parametrize("live", [None, NEW])
def test_status_promises_no_rollback_to_a_gateway_without_a_service(one: Deployment, live: str | None) -> None:
    sick(one, SICK, 503)
    one.machine.bake(lambda: None)
    one.machine.complete()
    one.machine.let_go()
    one.cloud.sides[GREEN].fails_users = live
    one.cloud.sides[BLUE].only_gateway = True
    found = way_back(one)
    assert not found["possible"]
    assert "no check that passed then passes now" in found["reason"]
    assert one.undo().phase is not Phase.ROLLED_BACK
    assert one.cloud.routes.live is GREEN


@pytest.mark.parametrize(("problem", "status"), SICK_BEFORE)
def test_undo_goes_back_to_a_health_check_that_fails_as_before(one: Deployment, problem: str, status: int) -> None:
    """Only if the live colour is unhealthy as well."""
    sick(one, problem, status)
    one.machine.bake(lambda: None)
    one.machine.complete()
    one.machine.let_go()
    refused = way_back(one)
    undo = one.undo()
    assert (undo.phase, one.cloud.routes.live) == (Phase.REJECTED, GREEN)
    assert not refused["possible"]
    assert f"rollback: {refused['reason']}" == f"{undo.reason}; {WITHOUT_USERS}"
    assert "the live colour is healthy, but the previous colour blue is not" in refused["reason"]
    one.cloud.sides[GREEN].fails_users = NEW
    assert way_back(one)["possible"]
    undo = one.undo()
    assert undo.phase is Phase.ROLLED_BACK
    assert str(undo.reason).endswith(f"as before the deployment: {problem}")


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ((NO_LIVEZ, 404), (SICK, 503)),
        ((NO_LIVEZ, 404), ("GET /livez: status 500, expected 200", 500)),
        ((SICK, 503), ("GET /health: ReadTimeout", None)),
        (("GET /health: ReadTimeout", None), ("GET /health: ReadTimeout", None)),
        (("GET /health: status 502, expected 200", 502), ("GET /health: status 502, expected 200", 502)),
        (("GET /health: status 504, expected 200", 504), ("GET /health: status 504, expected 200", 504)),
    ],
)
def test_health_check_that_fails_otherwise_or_does_not_answer_gets_no_traffic(
    one: Deployment, before: tuple[str, int | None], now: tuple[str, int | None]
) -> None:
    """A gateway's 502 or 504 says that the colour did not answer."""
    sick(one, *before)
    blue = one.cloud.sides[BLUE]
    blue.error, blue.status = now
    one.machine.abandon(HARM)
    assert one.machine.phase is Phase.HALTED
    assert one.cloud.routes.live is GREEN


@pytest.mark.parametrize(("problem", "status"), SICK_BEFORE)
def test_colour_whose_every_request_failed_before_gets_no_traffic(one: Deployment, problem: str, status: int) -> None:
    """A gateway answers 503, or 404, for a dead colour too; the candidate with its slight harm is no worse."""
    one.cloud.sides[BLUE].only_gateway = True
    sick(one, problem, status).machine.abandon(HARM)
    assert one.machine.phase is Phase.HALTED
    assert one.cloud.routes.weights == {BLUE: 0, GREEN: 100}
    assert one.cloud.sides[GREEN].running
    assert "no other check passed then" in str(one.machine.reason)
    (line,) = [record.data for record in one.records() if record.kind == "sick"]
    assert line["passed"] == []


@pytest.mark.parametrize(("problem", "status"), SICK_BEFORE)
def test_colour_that_died_since_gets_no_traffic(one: Deployment, problem: str, status: int) -> None:
    """Its gateway now gives the answer that its health check gave before."""
    sick(one, problem, status)
    one.cloud.sides[BLUE].only_gateway = True
    one.machine.abandon(HARM)
    assert one.machine.phase is Phase.HALTED
    assert one.cloud.routes.weights == {BLUE: 0, GREEN: 100}
    assert "no check that passed then passes now" in str(one.machine.reason)


@pytest.mark.parametrize("before", [True, False])
def test_recover_sends_no_traffic_to_a_gateway_without_a_service(
    one: Deployment, tmp_path: Path, *, before: bool
) -> None:
    one.cloud.sides[BLUE].only_gateway = before
    sick(one, SICK, 503).mark_dead()
    one.cloud.sides[BLUE].only_gateway = True
    assert one.recover(tmp_path / "elsewhere") is Phase.HALTED
    assert one.cloud.routes.live is GREEN


def test_dead_colour_that_still_has_the_traffic_is_no_verified_rollback(one: Deployment) -> None:
    """The write of the promotion never arrived: nothing moves, and answers of a gateway verify nothing."""
    one.cloud.sides[BLUE].only_gateway = True
    sick(one, SICK, 503)
    one.cloud.move(BLUE, 99)
    one.machine.abandon(HARM)
    assert one.machine.phase is Phase.HALTED


def test_record_of_an_earlier_version_proves_no_service(one: Deployment, tmp_path: Path) -> None:
    """It does not have the checks that passed; without them a rollback needs a healthy answer."""
    sick(one, SICK, 503).mark_dead()
    record = json.loads(one.lease.kept["deployment"])
    assert record["previous"].pop("passed") == ["GET /consults"]
    one.lease.kept["deployment"] = json.dumps(record)
    assert one.recover(tmp_path / "elsewhere") is Phase.HALTED
    assert one.cloud.routes.live is GREEN


def test_health_check_that_fails_is_not_excused_without_the_option(one: Deployment) -> None:
    one.to_verified()
    one.machine.promote(GATES)
    one.cloud.sides[BLUE].error = SICK
    one.machine.abandon(HARM)
    assert one.machine.phase is Phase.HALTED
    assert one.cloud.routes.live is GREEN


@pytest.mark.parametrize(
    "other", [Answer(False, "green", 9, None, SICK, 503), Answer(False, "blue", 8, None, SICK, 503)]
)
def test_answers_that_fail_as_before_confirm_only_with_colour_and_generation(one: Deployment, other: Answer) -> None:
    """The candidate may fail its health check like the previous colour, and earlier routes may have sent the request."""
    sick(one, SICK, 503)
    one.front.script = [other] * 40
    one.machine.abandon(HARM)
    assert one.machine.phase is Phase.ROLLED_BACK
    assert not one.front.script, "these answers confirm nothing"


def test_without_headers_the_routes_confirm_an_answer_that_fails_as_before(one: Deployment) -> None:
    """As behind a load balancer or DNS: it names no version either."""
    sick(one, SICK, 503)
    one.front.script = [Answer(False, problem=SICK, status=503)] * 1000
    one.machine.abandon(HARM)
    assert one.machine.phase is Phase.ROLLED_BACK
    assert one.cloud.routes.live is BLUE


def test_recover_on_another_machine_excuses_the_same_problems(one: Deployment, tmp_path: Path) -> None:
    promoted(one, NO_DATABASE)
    one.mark_dead()
    elsewhere = tmp_path / "elsewhere"
    assert one.recover(elsewhere) is Phase.ROLLED_BACK
    assert one.report(elsewhere)["reason"].endswith(f"as before the deployment: {NO_DATABASE}")
    assert one.recover(elsewhere) is None


def test_recover_ends_a_rollback_that_an_earlier_version_could_not_verify(one: Deployment) -> None:
    """The record of that version has no problems; its journal has the line ``sick``."""
    promoted(one, NO_DATABASE)
    one.mark_dead()
    record = json.loads(one.lease.kept["deployment"])
    del record["previous"]["problems"]
    record["phase"] = Phase.HALTED
    one.lease.kept["deployment"] = json.dumps(record)
    path = one.folder / "audit.jsonl"
    assert NO_DATABASE in path.read_text(encoding="utf-8")
    assert one.recover() is Phase.ROLLED_BACK


def test_undo_excuses_the_problems_from_before(one: Deployment) -> None:
    promoted(one, NO_DATABASE)
    one.machine.bake(lambda: None)
    one.machine.complete()
    one.machine.let_go()
    one.cloud.sides[GREEN].fails_users = NO_DATABASE
    undo: Undo = one.undo()
    assert undo.phase is Phase.ROLLED_BACK
    assert str(undo.reason).endswith(f"as before the deployment: {NO_DATABASE}")


def test_record_without_problems_is_as_earlier_versions_wrote_it(one: Deployment) -> None:
    one.to_verified()
    text = one.machine.record().dump()
    assert "problems" not in text
    assert "passed" not in text
    assert DeploymentRecord.load(text) == one.machine.record()
    unknown = json.loads(text)
    unknown["previous"]["of a later version"] = 1
    assert DeploymentRecord.load(json.dumps(unknown)) == one.machine.record()
