"""Whether a colour still receives requests, by CloudWatch's figures of its load balancer or its service."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from deployment.ports import Clock
from infrastructure.aws.session import Clients

_PERIOD_S = 60


@dataclass(frozen=True)
class DrainWindow:
    """When a colour counts as drained: it had no request for ``seconds``, measured by ``clock``."""

    seconds: float
    clock: Clock


@dataclass(frozen=True)
class Metric:
    """A metric that counts requests."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]


def requests_within(clients: Clients, metric: Metric, window: DrainWindow) -> int:
    """Return how many requests CloudWatch has counted within the window; needs cloudwatch:GetMetricData. Raises CloudError.

    CloudWatch publishes a minute's figure one or two minutes later, so the query covers one period more.
    """
    end = window.clock.now().replace(second=0, microsecond=0) + timedelta(seconds=_PERIOD_S)
    start = end - timedelta(seconds=_PERIOD_S * (math.ceil(window.seconds / _PERIOD_S) + 2))
    named = {
        "Namespace": metric.namespace,
        "MetricName": metric.name,
        "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions.items()],
    }
    query = {"Id": "requests", "MetricStat": {"Metric": named, "Period": _PERIOD_S, "Stat": "Sum"}}
    answer = clients.call("cloudwatch", "GetMetricData", MetricDataQueries=[query], StartTime=start, EndTime=end)
    return int(sum(value for result in answer["MetricDataResults"] for value in result.get("Values", ())))
