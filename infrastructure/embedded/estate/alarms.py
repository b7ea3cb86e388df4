"""The environment's alarms: two alarms of CloudWatch and a health check of Route 53. Nothing here evaluates them.

Their state is set with `aws cloudwatch set-alarm-state`. It is OK at first in moto, but INSUFFICIENT_DATA on AWS.
"""

from __future__ import annotations

from collections.abc import Sequence

from infrastructure.embedded.estate.aws_session import AwsSession
from infrastructure.embedded.layout import Environment

HEALTH, LATENCY = "DeploymentHealthCheck", "DeploymentResponseTime"
NAMES = (HEALTH, LATENCY)
_REFERENCE = "live-domain"


def ensure(session: AwsSession, environment: Environment) -> None:
    """Create the alarms and the health check if they are missing; safe to repeat. Existing alarms keep their state."""
    cloudwatch = session.client("cloudwatch", environment.moto_url)
    there = {alarm["AlarmName"] for alarm in cloudwatch.describe_alarms(AlarmNames=list(NAMES))["MetricAlarms"]}
    identity = _health_check(session, environment)
    minutely = {"Period": 60, "EvaluationPeriods": 1, "Statistic": "Average", "TreatMissingData": "missing"}
    if HEALTH not in there:
        cloudwatch.put_metric_alarm(
            AlarmName=HEALTH,
            AlarmDescription="Route 53's health checkers cannot reach the live domain",
            Namespace="AWS/Route53",
            MetricName="HealthCheckStatus",
            Dimensions=[{"Name": "HealthCheckId", "Value": identity}],
            ComparisonOperator="LessThanThreshold",
            Threshold=1,
            **minutely,
        )
    if LATENCY not in there:
        cloudwatch.put_metric_alarm(
            AlarmName=LATENCY,
            AlarmDescription="responses take longer than one second",
            Namespace="AWS/AppRunner",
            MetricName="RequestLatency",
            ComparisonOperator="GreaterThanThreshold",
            Threshold=1000,
            **minutely,
        )


def health_checks(session: AwsSession, environment: Environment) -> Sequence[str]:
    """Return the ids of the environment's health checks."""
    return [_health_check(session, environment)]


def _health_check(session: AwsSession, environment: Environment) -> str:
    route53 = session.client("route53", environment.moto_url)
    for known in route53.list_health_checks()["HealthChecks"]:
        if known["CallerReference"] == _REFERENCE:
            return str(known["Id"])
    path = environment.served.health_path
    wanted = {"Type": "HTTP", "FullyQualifiedDomainName": environment.live_host, "Port": 80, "ResourcePath": path}
    made = route53.create_health_check(CallerReference=_REFERENCE, HealthCheckConfig=wanted)
    return str(made["HealthCheck"]["Id"])
