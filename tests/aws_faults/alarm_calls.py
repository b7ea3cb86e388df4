"""The calls for alarms and for Route 53's health checks, each with an action that makes it."""

from __future__ import annotations

from deployment.model import Alarm, AlarmState, Colour
from infrastructure.aws.cloudwatch import CloudWatchAlarms
from infrastructure.aws.route53.health_checks import Route53HealthChecks
from tests.aws.cloudwatch_alarms import put_alarm
from tests.aws_faults.injection import Act, Call, Scene


def alarms(scene: Scene) -> Act:
    put_alarm(scene.clean, scene.name, "ALARM")
    clean = CloudWatchAlarms(scene.clean, [scene.name]).read(Colour.GREEN)
    return Act(
        lambda clients: CloudWatchAlarms(clients, [scene.name]).read(Colour.GREEN),
        lambda result: result == clean and clean[0].state is AlarmState.FIRING,
    )


def health_checks(scene: Scene) -> Act:
    config = {"Type": "HTTPS", "FullyQualifiedDomainName": "api.example.com", "Port": 443}
    made = scene.clean.call("route53", "CreateHealthCheck", CallerReference=scene.name, HealthCheckConfig=config)
    ids = [str(made["HealthCheck"]["Id"])]
    return Act(
        lambda clients: Route53HealthChecks(clients, ids).read(Colour.GREEN),
        lambda result: result == [Alarm(f"health check {ids[0]}", AlarmState.OK)],
    )


ALARM_CALLS = {
    "alarms.read": Call("DescribeAlarms", alarms),
    "alarms.read/health check": Call("GetHealthCheckStatus", health_checks),
}
