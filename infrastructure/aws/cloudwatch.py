"""CloudWatch's metric and composite alarms as the Alarms port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

from deployment.model import Alarm, AlarmState, Colour
from infrastructure.aws.session import Clients

KINDS = ("MetricAlarm", "CompositeAlarm")
"""Each request names both kinds: without a kind CloudWatch omits composite alarms."""
COLOUR = "{colour}"
MOST_NAMES = 100
_LONGEST_REASON = 300


class CloudWatchAlarms:
    """The alarms with these names; ``{colour}`` in a name stands for the colour.

    The caller needs cloudwatch:DescribeAlarms on ``*``.
    """

    def __init__(self, clients: Clients, names: Sequence[str]) -> None:
        self._clients = clients
        self._names = names

    def read(self, colour: Colour) -> Sequence[Alarm]:
        """Return the alarms in the order of the settings, with one call for each hundred names. Raises CloudError."""
        wanted = [name.replace(COLOUR, colour) for name in self._names]
        found: dict[str, Alarm] = {}
        for start in range(0, len(wanted), MOST_NAMES):
            names = wanted[start : start + MOST_NAMES]
            answer = self._clients.call(
                "cloudwatch", "DescribeAlarms", AlarmNames=names, AlarmTypes=list(KINDS), MaxRecords=MOST_NAMES
            )
            for raw in (*answer.get("MetricAlarms", ()), *answer.get("CompositeAlarms", ())):
                found[raw["AlarmName"]] = _alarm(raw)
        return [found.get(name) or Alarm(name, AlarmState.ABSENT) for name in wanted]


def _alarm(raw: Mapping[str, Any]) -> Alarm:
    """Return AWS's alarm as a value; an unknown state is UNPROVEN, not OK."""
    known = {state.value for state in AlarmState}
    state = AlarmState(raw["StateValue"]) if raw["StateValue"] in known else AlarmState.UNPROVEN
    since = raw.get("StateTransitionedTimestamp") or raw.get("StateUpdatedTimestamp")
    reason = " ".join(str(raw.get("StateReason", "")).split())[:_LONGEST_REASON]
    return Alarm(raw["AlarmName"], state, reason, since.astimezone(UTC) if since else None)
