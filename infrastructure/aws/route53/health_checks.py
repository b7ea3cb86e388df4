"""Route 53's health checks as the Alarms port: the live domain as AWS's checkers around the world see it."""

from __future__ import annotations

from collections.abc import Sequence

from deployment.errors import NotFound
from deployment.model import Alarm, AlarmState, Colour
from infrastructure.aws.session import Clients

HEALTHY_SHARE = 0.18
"""Route 53 itself calls an endpoint healthy if more than 18 % of the checkers do."""
_LONGEST_REASON = 300


class Route53HealthChecks:
    """The health checks with these ids. The caller needs route53:GetHealthCheckStatus on each."""

    def __init__(self, clients: Clients, ids: Sequence[str]) -> None:
        self._clients = clients
        self._ids = ids

    def read(self, colour: Colour) -> Sequence[Alarm]:  # noqa: ARG002  # they ask the live domain, not a colour
        """Return each health check's state, with one call for each. Raises CloudError."""
        return [self._one(identity) for identity in self._ids]

    def _one(self, identity: str) -> Alarm:
        name = f"health check {identity}"
        try:
            answer = self._clients.call("route53", "GetHealthCheckStatus", HealthCheckId=identity)
        except NotFound:
            return Alarm(name, AlarmState.ABSENT)
        reports = [str(one.get("StatusReport", {}).get("Status", "")) for one in answer["HealthCheckObservations"]]
        if not reports:
            return Alarm(name, AlarmState.UNPROVEN, "no checker has reported yet")
        failing = [report for report in reports if not report.startswith("Success")]
        if len(reports) - len(failing) > HEALTHY_SHARE * len(reports):
            return Alarm(name, AlarmState.OK)
        said = " ".join(failing[0].split())[:_LONGEST_REASON]
        return Alarm(name, AlarmState.FIRING, f"{len(failing)} of {len(reports)} checkers fail, one says: {said}")
