"""The use of a service's quotas, for those quotas whose metric Service Quotas names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from deployment.errors import CloudError
from deployment.model import Quota
from deployment.ports import Clock
from infrastructure.aws.session import Clients

_WINDOW = timedelta(hours=1)
_PERIOD_S = 300


class MeasuredQuotas:
    """The Quotas port on one service's quotas (``apprunner``, ``fargate``).

    The caller needs servicequotas:ListServiceQuotas and cloudwatch:GetMetricData. Neither is retried: a run can do without them.
    """

    def __init__(self, clients: Clients, service: str, clock: Clock) -> None:
        self._clients = clients
        self._service = service
        self._clock = clock

    def measured(self) -> Sequence[Quota]:
        """Return the newest figure of each quota that AWS measures; omit the others. Raises CloudError."""
        quotas = [quota for quota in self._listed() if quota.get("UsageMetric", {}).get("MetricName")]
        if not quotas:
            return []
        now = self._clock.now()
        answer = self._clients.call_once(
            "cloudwatch",
            "GetMetricData",
            StartTime=now - _WINDOW,
            EndTime=now,
            MetricDataQueries=[_query(f"q{number}", quota["UsageMetric"]) for number, quota in enumerate(quotas)],
        )
        newest = {one["Id"]: one["Values"][0] for one in answer.get("MetricDataResults", ()) if one.get("Values")}
        return [
            Quota(str(quota["QuotaName"]), float(newest[f"q{number}"]), float(quota["Value"]))
            for number, quota in enumerate(quotas)
            if f"q{number}" in newest
        ]

    def _listed(self) -> Sequence[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        place: dict[str, str] = {}
        while True:
            answer = self._clients.call_once(
                "service-quotas", "ListServiceQuotas", ServiceCode=self._service, MaxResults=100, **place
            )
            if "Quotas" not in answer:
                raise CloudError(f"service-quotas ListServiceQuotas: the answer contains no quotas for {self._service}")
            found += answer["Quotas"]
            if not answer.get("NextToken"):
                return found
            place = {"NextToken": answer["NextToken"]}


def _query(name: str, usage: Mapping[str, Any]) -> Mapping[str, Any]:
    dimensions = [{"Name": key, "Value": value} for key, value in usage.get("MetricDimensions", {}).items()]
    metric = {"Namespace": usage["MetricNamespace"], "MetricName": usage["MetricName"], "Dimensions": dimensions}
    statistic = usage.get("MetricStatisticRecommendation", "Maximum")
    return {"Id": name, "MetricStat": {"Metric": metric, "Period": _PERIOD_S, "Stat": statistic}}
