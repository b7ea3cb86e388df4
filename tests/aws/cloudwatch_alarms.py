"""CloudWatch alarms for tests."""

from __future__ import annotations

from infrastructure.aws.session import Clients


def put_alarm(clients: Clients, name: str, state: str | None = None, reason: str = "because") -> str:
    """Create an alarm, with a state if one is given; return its name."""
    clients.call(
        "cloudwatch",
        "PutMetricAlarm",
        AlarmName=name,
        Namespace="AWS/AppRunner",
        MetricName="RequestLatency",
        Statistic="Average",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1000,
        ComparisonOperator="GreaterThanThreshold",
    )
    if state:
        clients.call("cloudwatch", "SetAlarmState", AlarmName=name, StateValue=state, StateReason=reason)
    return name
