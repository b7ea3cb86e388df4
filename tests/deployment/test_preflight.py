"""Preflight, item by item: items that refuse, items that are sick, and items that were not checked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from deployment.access import DEPLOYMENT, Admission
from deployment.errors import CloudDenied, CloudError, CloudUnreachable, Refused
from deployment.model import (
    Alarm,
    AlarmState,
    Caller,
    Colour,
    Configuration,
    Contact,
    DomainState,
    Quota,
    Routes,
    Scan,
    Service,
)
from deployment.ports import NO_ALARMS
from deployment.preflight.items import Item, Outcome
from deployment.preflight.preflight import PreflightPorts, Proposal, judge, run_preflight, summary, too_severe
from deployment.settings import DeploymentLimits, Settings
from tests.checkout import CHECKOUT
from tests.deployment.fakes import BLUE, GREEN, NEW, Side
from tests.deployment.harness import Deployment

ADMISSION = Admission(Caller("arn:aws:iam::123456789012:role/deployer", "123456789012"), DEPLOYMENT)
LIMITS = DeploymentLimits()


@dataclass
class Surroundings:
    """All ports of the surroundings in one: each returns the answer that a test sets, or raises it."""

    scan: Scan | CloudError = field(default_factory=lambda: Scan(True, {"LOW": 3}))
    quotas: Sequence[Quota] | CloudError = (Quota("vCPUs", 2, 10),)
    problems: dict[str, str | CloudError] = field(default_factory=dict)
    state: DomainState | CloudError | None = None
    asked: list[str] = field(default_factory=list)
    contacts: dict[str, Contact] = field(default_factory=dict)
    """By URL: what the machine finds there; any other address answers."""

    def contact(self, url: str) -> Contact:
        return self.contacts.get(url, Contact(True, f"{url} answers (200)"))

    def of(self, digest: str) -> Scan:
        self.asked.append(digest)
        return return_or_raise(self.scan)

    def measured(self) -> Sequence[Quota]:
        return return_or_raise(self.quotas)

    def obstacle(self, name: str) -> str | None:
        self.asked.append(name)
        problem = self.problems.get(name)
        if isinstance(problem, CloudError):
            raise problem
        return problem

    def observe(self) -> DomainState:
        assert self.state is not None
        return return_or_raise(self.state)


Given = TypeVar("Given")


def return_or_raise(answer: Given | CloudError) -> Given:
    if isinstance(answer, CloudError):
        raise answer
    return answer


@dataclass
class FakeAlarms:
    """Alarms by colour; ``None``: they cannot be read."""

    states: dict[Colour, AlarmState] | None

    def read(self, colour: Colour) -> Sequence[Alarm]:
        if self.states is None:
            raise CloudUnreachable("cloudwatch DescribeAlarms: no answer")
        return [Alarm(f"5xx-{colour}", self.states[colour])]


class Estate:
    """A deployment on the fake cloud with surroundings; everything is healthy until a test changes it."""

    def __init__(self, tmp_path: Path) -> None:
        self.deployment = Deployment(tmp_path)
        self.cloud = self.deployment.cloud
        self.cloud.sides[GREEN] = Side(NEW)
        self.surroundings = Surroundings()
        self.surroundings.state = DomainState("api.example", ("192.0.2.1",), self.now() + timedelta(days=90))
        self.own_secrets = ("smoke-users",)
        quiet = FakeAlarms(dict.fromkeys(Colour, AlarmState.OK))
        self.deployment.ports = replace(self.deployment.ports, alarms=quiet)

    def now(self) -> datetime:
        return self.cloud.clock.now()

    def items(
        self, plan: Path | None = None, limits: DeploymentLimits = LIMITS, admission: Admission = ADMISSION
    ) -> dict[str, Item]:
        one = self.surroundings
        surroundings = PreflightPorts(one, one, one, self.own_secrets, one, one)
        found = run_preflight(self.deployment.ports, surroundings, limits, Proposal(NEW, GREEN, admission, plan))
        return {item.name: item for item in found}

    def refused(self) -> list[str]:
        return [name for name, item in self.items().items() if item.outcome is not Outcome.OK]


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    return Estate(tmp_path)


def test_healthy_estate_passes(estate: Estate) -> None:
    items = estate.items()
    assert {item.outcome for item in items.values()} == {Outcome.OK}
    judge(list(items.values()))
    assert summary(list(items.values())) == "13 of 13 items are ok"
    assert "it is resumed before it is updated" in items["idle"].found
    assert estate.surroundings.asked.count(NEW.digest) == 1, "the scan of the digest to deploy is read once"


def test_split_traffic_refuses(estate: Estate) -> None:
    estate.cloud.routes = Routes(BLUE, {BLUE: 90, GREEN: 10}, 8)
    assert estate.refused() == ["routes"]
    with pytest.raises(Refused, match="blue 90 %, green 10 %"):
        judge(list(estate.items().values()))


@pytest.mark.parametrize(
    ("promote", "rollback", "short"),
    [
        (120, 300, ""),
        (119, 300, "promote_timeout is 119 s"),
        (10, 20, "promote_timeout is 10 s; rollback_timeout is 20 s"),
    ],
)
def test_timeouts_must_cover_the_time_of_a_switch(estate: Estate, promote: float, rollback: float, short: str) -> None:
    """Only if DNS routes the traffic; a router that switches at once has nothing to compare."""
    limits = replace(LIMITS, promote_timeout=promote, rollback_timeout=rollback)
    assert "timeouts" not in estate.items(limits=limits)
    estate.cloud.routes = replace(estate.cloud.routes, spread_s=120)
    items = estate.items(limits=limits)
    if not short:
        assert items["timeouts"].outcome is Outcome.OK
        return
    with pytest.raises(Refused, match=f"timeouts: {short}") as refused:
        judge(list(items.values()))
    assert "a switch, which takes up to 120 s" in (refused.value.hint or "")


def test_stopped_live_colour_is_sick_but_not_refused(estate: Estate) -> None:
    estate.cloud.sides[BLUE].running = False
    assert estate.items()["live"].outcome is Outcome.SICK
    items = list(estate.items().values())
    judge(items)  # the step `lease` checks again, under the lock, and rejects
    assert "SICK: live: blue is PAUSED" in summary(items)


def test_a_target_that_cannot_be_updated_refuses(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    describe = estate.deployment.platform.describe

    def broken(colour: object) -> Service:
        return replace(describe(GREEN), colour=GREEN, status="DELETE_FAILED", obstacle="nothing is deployed to it")

    monkeypatch.setattr(
        estate.deployment.platform, "describe", lambda one: broken(one) if one is GREEN else describe(one)
    )
    assert estate.refused() == ["idle"]
    assert "DELETE_FAILED" in estate.items()["idle"].found


@pytest.mark.parametrize(
    ("scan", "outcome"),
    [
        (Scan(True, {}), Outcome.OK),
        (Scan(True, {"MEDIUM": 9, "LOW": 1}), Outcome.OK),
        (Scan(True, {"HIGH": 1}), Outcome.REFUSED),
        (Scan(True, {"CRITICAL": 1, "LOW": 2}), Outcome.REFUSED),
        (Scan(True, {"UNDEFINED": 1}), Outcome.REFUSED),
        (Scan(True, {"HIGH": 0}), Outcome.OK),
        (Scan(False, {}, "its scan is IN_PROGRESS", under_way=True), Outcome.REFUSED),
        (Scan(False, {}, "never scanned"), Outcome.NOT_CHECKED),
        (CloudDenied("ecr DescribeImageScanFindings: AccessDenied"), Outcome.NOT_CHECKED),
    ],
    ids=str,
)
def test_scan_findings(estate: Estate, scan: Scan | CloudError, outcome: Outcome) -> None:
    estate.surroundings.scan = scan
    item = estate.items()["scan"]
    assert item.outcome is outcome
    assert item.expected == "a finished scan without a finding above MEDIUM"


@pytest.mark.parametrize(("most", "refuses"), [("NONE", True), ("LOW", True), ("HIGH", False), ("CRITICAL", False)])
def test_severity_above_the_limit_is_too_severe(most: str, refuses: bool) -> None:
    assert too_severe({"HIGH": 1}, most) is refuses


FIRING, QUIET = AlarmState.FIRING, AlarmState.OK


@pytest.mark.parametrize(
    ("states", "outcome", "word"),
    [
        ({BLUE: QUIET, GREEN: QUIET}, Outcome.OK, "alarms of blue: 1, none firing"),
        ({BLUE: QUIET, GREEN: FIRING}, Outcome.OK, "alarms of blue: 1, none firing"),
        ({BLUE: AlarmState.UNPROVEN, GREEN: QUIET}, Outcome.OK, "5xx-blue is INSUFFICIENT_DATA"),
        ({BLUE: FIRING, GREEN: QUIET}, Outcome.SICK, "5xx-blue is ALARM"),
        ({BLUE: QUIET, GREEN: AlarmState.ABSENT}, Outcome.REFUSED, "5xx-green is ABSENT"),
        (None, Outcome.SICK, "they cannot be read: cloudwatch DescribeAlarms: no answer"),
    ],
)
def test_alarms(estate: Estate, states: dict[Colour, AlarmState] | None, outcome: Outcome, word: str) -> None:
    estate.deployment.ports = replace(estate.deployment.ports, alarms=FakeAlarms(states))
    item = estate.items()["alarms"]
    assert (item.outcome, item.found) == (outcome, word)


def test_used_up_quota_refuses_and_nearly_used_quota_is_reported(estate: Estate) -> None:
    estate.surroundings.quotas = [Quota("vCPUs", 8, 10), Quota("services", 1, 10)]
    assert estate.items()["quotas"] == Item(
        "quotas", Outcome.OK, "8 of 10 vCPUs", "room in every quota whose use AWS measures"
    )
    estate.surroundings.quotas = [Quota("vCPUs", 10, 10)]
    assert estate.refused() == ["quotas"]
    silent: list[Sequence[Quota] | CloudError] = [[], CloudUnreachable("service-quotas ListServiceQuotas: 500")]
    for estate.surroundings.quotas in silent:
        assert estate.items()["quotas"].outcome is Outcome.NOT_CHECKED


def test_secrets_of_deployer_and_release_are_checked_by_name(estate: Estate) -> None:
    given_to_it = Configuration({}, {"DATABASE_URL": "database-url"}, {})
    estate.deployment.platform.configurations = {BLUE: given_to_it, GREEN: given_to_it}
    assert estate.items()["secrets"].found == "smoke-users, database-url"
    estate.surroundings.problems = {"database-url": "is about to be deleted"}
    item = estate.items()["secrets"]
    assert (item.outcome, item.found) == (Outcome.REFUSED, "database-url is about to be deleted")
    estate.surroundings.problems = {"database-url": CloudDenied("secretsmanager DescribeSecret: AccessDenied")}
    assert estate.items()["secrets"].outcome is Outcome.NOT_CHECKED


@pytest.mark.parametrize(("days", "outcome"), [(15, Outcome.OK), (13, Outcome.REFUSED), (-1, Outcome.REFUSED)])
def test_certificate_must_be_valid_for_two_weeks(estate: Estate, days: int, outcome: Outcome) -> None:
    estate.surroundings.state = DomainState("api.example", ("192.0.2.1",), estate.now() + timedelta(days=days, hours=1))
    item = estate.items()["domain"]
    assert item.outcome is outcome
    assert f"in {days} days" in item.found


def test_a_domain_without_certificate_or_address(estate: Estate) -> None:
    estate.surroundings.state = DomainState("api.example", ("192.0.2.1",), None)
    assert estate.items()["domain"].found == "api.example resolves to 192.0.2.1; an http URL has no certificate"
    assert estate.items()["domain"].outcome is Outcome.NOT_CHECKED
    estate.surroundings.state = CloudUnreachable("api.example does not resolve: Name or service not known")
    assert estate.items()["domain"].outcome is Outcome.SICK


REACHED = Contact(True, "answers")
CLOSED = Contact(False, "green.test port 443 accepts no connection within 5 s")
FORBIDDEN = Contact(None, "green.test answers 403")


@pytest.mark.parametrize(
    ("running", "green", "blue", "outcome", "words"),
    [
        (True, REACHED, REACHED, Outcome.OK, "green: answers"),
        (True, CLOSED, REACHED, Outcome.REFUSED, "green: green.test port 443 accepts no connection"),
        (True, FORBIDDEN, REACHED, Outcome.NOT_CHECKED, "answers 403"),
        # Behind a load balancer the address answers without a task; on App Runner a paused service may not.
        (False, REACHED, CLOSED, Outcome.OK, "green: answers"),
        (False, CLOSED, REACHED, Outcome.NOT_CHECKED, "green is PAUSED; blue: answers"),
        (False, CLOSED, CLOSED, Outcome.REFUSED, "green is PAUSED; blue: green.test port 443"),
    ],
)
def test_target_must_be_within_reach(
    estate: Estate, running: bool, green: Contact, blue: Contact, outcome: Outcome, words: str
) -> None:
    """A hosted runner outside the VPC cannot verify a colour: the run says so before it starts anything."""
    estate.cloud.sides[GREEN].running = running
    estate.surroundings.contacts = {"https://green.test": green, "https://blue.test": blue}
    items = estate.items()
    assert items["address"].outcome is outcome
    assert words in items["address"].found
    if outcome is Outcome.REFUSED:
        with pytest.raises(Refused, match="preflight: address: green") as caught:
            judge(list(items.values()))
        assert "verifier_cidrs" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("left", "limits", "refused"),
    [
        (None, LIMITS, ""),
        (7200, replace(LIMITS, approval="required", approval_timeout=3600), ""),
        (7200, replace(LIMITS, approval_timeout=86400), ""),  # no approval is required
        (7200, replace(LIMITS, approval="required", approval_timeout=7000), "approval_timeout is 7000 s, and"),
        (900, replace(LIMITS, bake=1800), "but promote_timeout, bake and rollback_timeout together are 2220 s"),
    ],
)
def test_credentials_must_outlive_approval_and_bake(
    estate: Estate, left: float | None, limits: DeploymentLimits, refused: str
) -> None:
    """The two times stand in the refusal; credentials without a known end are not judged."""
    ends = None if left is None else estate.now() + timedelta(seconds=left)
    admission = replace(ADMISSION, caller=replace(ADMISSION.caller, expires_at=ends))
    item = estate.items(limits=limits, admission=admission)["credentials"]
    assert item.outcome is (Outcome.REFUSED if refused else Outcome.OK)
    if left is not None:
        assert f"UTC, in {left:g} s" in item.found
    assert refused in item.found


def test_refusal_names_every_item(estate: Estate) -> None:
    estate.surroundings.scan = Scan(True, {"CRITICAL": 2})
    estate.cloud.sides[BLUE].running = False
    with pytest.raises(Refused) as caught:
        judge(list(estate.items().values()))
    assert caught.value.message.startswith("preflight: scan: 2 CRITICAL; live: blue is PAUSED on sha256:")
    assert caught.value.hint == "Expected: scan: a finished scan without a finding above MEDIUM"


def test_items_without_a_port_are_not_checked(estate: Estate) -> None:
    ports = replace(estate.deployment.ports, alarms=NO_ALARMS)
    found = run_preflight(ports, PreflightPorts(), LIMITS, Proposal(NEW, GREEN))
    unchecked = {item.name for item in found if item.outcome is Outcome.NOT_CHECKED}
    assert unchecked == {"credentials", "rights", "scan", "alarms", "quotas", "secrets", "domain", "address"}


def test_plan_of_another_environment_refuses(estate: Estate, tmp_path: Path) -> None:
    """Each resource of the staging plan is unchanged, but it says nothing about production."""
    path, made = tmp_path / "plan.json", estate.now().isoformat()
    services = {"blue": "production-api-blue", "green": "production-api-green"}
    own = {"provider": "aws", "account": "123456789012", "region": "us-east-1", "services": services}
    settings = Settings("production", LIMITS, {}, own, project=CHECKOUT)
    for name, outcome in (("staging-api-blue", Outcome.REFUSED), ("production-api-blue", Outcome.OK)):
        change = {"actions": ["no-op"], "before": {"name": name}, "after": {"name": name}}
        one = {"address": "a.b", "mode": "managed", "type": "aws_ecs_service", "change": change}
        whole = {"format_version": "1.2", "complete": True, "errored": False, "timestamp": made}
        path.write_text(json.dumps({**whole, "resource_changes": [one]}))
        proposal = Proposal(NEW, GREEN, ADMISSION, path, settings)
        items = run_preflight(estate.deployment.ports, PreflightPorts(), LIMITS, proposal)
        assert [item.outcome for item in items if item.name == "plan"] == [outcome]


def test_unreadable_plan_refuses(estate: Estate, tmp_path: Path) -> None:
    item = estate.items(tmp_path / "nowhere.json")["plan"]
    assert item.outcome is Outcome.REFUSED
    assert "terraform show -json" in item.expected


@pytest.mark.parametrize(
    "content",
    [b'{"format_version": "1.0", "values": {}}', '{"complete": true}'.encode("utf-16")],
    ids=["a state", "UTF-16"],
)
def test_plan_that_proves_nothing_refuses(estate: Estate, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(content)
    item = estate.items(path)["plan"]
    assert item.outcome is Outcome.REFUSED
    assert "terraform show -json" in item.expected
    with pytest.raises(Refused, match=r"preflight: plan: .*plan\.json"):
        judge([item])
