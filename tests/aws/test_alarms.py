"""Alarms and health checks as AWS returns them; botocore's own stub answers the calls that moto lacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from botocore.stub import Stubber

from deployment.errors import CloudDenied
from deployment.model import AlarmState, Colour
from infrastructure.aws.cloudwatch import CloudWatchAlarms
from infrastructure.aws.route53.health_checks import Route53HealthChecks
from infrastructure.aws.session import Clients, Connection, Credentials, clients_for
from tests.aws.cloudwatch_alarms import put_alarm

GREEN = Colour.GREEN
CHECK = "11111111-2222-3333-4444-555555555555"


def test_states_in_the_order_of_the_settings(clients: Clients) -> None:
    run = uuid4().hex
    names = [f"{run}-{{colour}}", f"{run}-absent", put_alarm(clients, f"{run}-all", "INSUFFICIENT_DATA")]
    put_alarm(clients, f"{run}-blue", "ALARM")
    put_alarm(clients, f"{run}-green")
    blue, absent, unproven = CloudWatchAlarms(clients, names).read(Colour.BLUE)
    assert (blue.name, blue.state, blue.reason) == (f"{run}-blue", AlarmState.FIRING, "because")
    assert str(blue).startswith(f"{run}-blue is ALARM since 20")
    assert (absent.state, unproven.state) == (AlarmState.ABSENT, AlarmState.UNPROVEN)
    assert CloudWatchAlarms(clients, names).read(GREEN)[0].state is AlarmState.OK


def test_more_names_than_one_call_takes(clients: Clients) -> None:
    run = uuid4().hex
    last = put_alarm(clients, f"{run}-last", "ALARM")
    names = [f"{run}-{number}" for number in range(100)] + [last]
    found = CloudWatchAlarms(clients, names).read(GREEN)
    assert [alarm.name for alarm in found] == names
    assert [alarm.state for alarm in found[-2:]] == [AlarmState.ABSENT, AlarmState.FIRING]


@pytest.fixture
def stubbed() -> Iterator[tuple[Clients, Stubber, Stubber]]:
    clients = clients_for(Connection("us-east-1", "123456789012", credentials=Credentials("key", "secret")))
    with Stubber(clients.client("cloudwatch")) as cloudwatch, Stubber(clients.client("route53")) as route53:
        yield clients, cloudwatch, route53


def test_composite_alarms_are_requested_and_read(stubbed: tuple[Clients, Stubber, Stubber]) -> None:
    clients, cloudwatch, _ = stubbed
    asked = {"AlarmNames": ["all-green"], "AlarmTypes": ["MetricAlarm", "CompositeAlarm"], "MaxRecords": 100}
    composite = {
        "AlarmName": "all-green",
        "StateValue": "ALARM",
        "StateReason": "one\n of  them",
        "AlarmRule": "ALARM(a)",
    }
    cloudwatch.add_response("describe_alarms", {"MetricAlarms": [], "CompositeAlarms": [composite]}, asked)
    [alarm] = CloudWatchAlarms(clients, ["all-{colour}"]).read(GREEN)
    assert (alarm.state, alarm.reason) == (AlarmState.FIRING, "one of them")


def test_unknown_state_is_not_ok(stubbed: tuple[Clients, Stubber, Stubber]) -> None:
    clients, cloudwatch, _ = stubbed
    cloudwatch.add_response("describe_alarms", {"MetricAlarms": [{"AlarmName": "a", "StateValue": "SOMETHING_NEW"}]})
    assert CloudWatchAlarms(clients, ["a"]).read(GREEN)[0].state is AlarmState.UNPROVEN


def test_missing_permission_names_the_call(stubbed: tuple[Clients, Stubber, Stubber]) -> None:
    clients, cloudwatch, _ = stubbed
    cloudwatch.add_client_error("describe_alarms", "AccessDenied", http_status_code=403)
    with pytest.raises(CloudDenied, match="cloudwatch DescribeAlarms"):
        CloudWatchAlarms(clients, ["a"]).read(GREEN)


def observations(well: int, ill: int) -> dict[str, Any]:
    def one(status: str) -> dict[str, Any]:
        return {"Region": "us-east-1", "IPAddress": "192.0.2.1", "StatusReport": {"Status": status}}

    bad, good = "Failure: HTTP Status Code 503, Service Unavailable.", "Success: HTTP Status Code 200, OK"
    return {"HealthCheckObservations": [*[one(bad)] * ill, *[one(good)] * well]}


@pytest.mark.parametrize(
    ("well", "ill", "state"),
    [
        (16, 0, AlarmState.OK),
        (3, 13, AlarmState.OK),  # Route 53's own rule: more than 18 %
        (2, 14, AlarmState.FIRING),
        (0, 16, AlarmState.FIRING),
        (0, 0, AlarmState.UNPROVEN),
    ],
)
def test_health_checks(stubbed: tuple[Clients, Stubber, Stubber], well: int, ill: int, state: AlarmState) -> None:
    clients, _, route53 = stubbed
    route53.add_response("get_health_check_status", observations(well, ill), {"HealthCheckId": CHECK})
    [alarm] = Route53HealthChecks(clients, [CHECK]).read(GREEN)
    assert (alarm.name, alarm.state) == (f"health check {CHECK}", state)
    if state is AlarmState.FIRING:
        assert f"{ill} of 16 checkers fail, one says: Failure: HTTP Status Code 503" in alarm.reason


def test_health_checks_in_moto(clients: Clients) -> None:
    config = {"Type": "HTTPS", "FullyQualifiedDomainName": "api.example.com", "Port": 443}
    made = clients.call("route53", "CreateHealthCheck", CallerReference=uuid4().hex, HealthCheckConfig=config)
    found = Route53HealthChecks(clients, [made["HealthCheck"]["Id"], CHECK]).read(GREEN)
    assert [alarm.state for alarm in found] == [AlarmState.OK, AlarmState.ABSENT]
