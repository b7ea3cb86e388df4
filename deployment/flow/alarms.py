"""The service's alarms: none may fire before a deployment or before the switch, and they are watched from the switch on."""

from __future__ import annotations

from collections.abc import Sequence

from deployment.errors import CloudError, Refused, StepFailed
from deployment.evidence.journal import Journal
from deployment.model import Alarm, AlarmState, Colour
from deployment.polling import Readings
from deployment.ports import Alarms, Clock

READ_EVERY_S = 3.0


class AllAlarms:
    """Several sources of alarms as one."""

    def __init__(self, sources: Sequence[Alarms]) -> None:
        self._sources = sources

    def read(self, colour: Colour) -> Sequence[Alarm]:
        """See ``deployment.ports.Alarms``."""
        return [alarm for source in self._sources for alarm in source.read(colour)]


def refuse_absent_alarms(alarms: Alarms) -> None:
    """Raise Refused if an alarm that the settings name does not exist, of either colour; CloudError."""
    absent = [alarm.name for colour in Colour for alarm in alarms.read(colour) if alarm.state is AlarmState.ABSENT]
    if absent:
        raise Refused(
            f"the settings name alarm {absent[0]!r}, which does not exist",
            hint="Correct `alarms` or `route53_health_checks` of this environment in deployment.toml, or create it.",
        )


def refuse_firing_alarms(alarms: Alarms, live: Colour, journal: Journal) -> None:
    """Raise StepFailed if an alarm of the live colour is firing, CloudError if the alarms cannot be read.

    An alarm without data does not fire, but it is not OK either: it is journalled, and it must be OK at the end of the
    bake.
    """
    states = alarms.read(live)
    if states:
        journal.append("alarms", colour=live, states={alarm.name: alarm.state for alarm in states})
    firing = [alarm for alarm in states if alarm.state is AlarmState.FIRING]
    if firing:
        raise StepFailed(f"an alarm is already firing: {firing[0]}", hint="Resolve it first, then deploy again.")


class AlarmWatch:
    """Reads the candidate's alarms every few seconds from the switch on, beside the other watches.

    A firing alarm is harm at once, unless it fired before the switch already, as an idle colour's alarm may: then it
    must have stopped by the end of the bake. An alarm without data, or one that cannot be read, must also be OK by
    then. Alarms that could not be read for BLIND_S end the bake. Only the thread that calls ``harm`` writes the journal.
    Raises CloudError if the alarms cannot be read even once.
    """

    def __init__(self, alarms: Alarms, colour: Colour, clock: Clock, journal: Journal) -> None:
        self._colour, self._journal = colour, journal
        self._readings = Readings("the alarms", lambda: alarms.read(colour), clock, READ_EVERY_S)
        self._now: Sequence[Alarm] = alarms.read(colour)
        self._states = {alarm.name: alarm.state for alarm in self._now}
        self._inherited = {alarm.name for alarm in self._now if alarm.state is AlarmState.FIRING}
        self.any = bool(self._now)
        if self.any:
            journal.append("alarms", colour=colour, states=self._states)

    def harm(self) -> str | None:
        """Return the alarm that fires, or that the alarms cannot be read; None if all is well. Never waits for AWS.

        Raises what a reading raised, if it is not a CloudError: a fault of ours.
        """
        if not self.any:
            return None
        self._readings.ask()
        self._take_in()
        firing = [a for a in self._now if a.state is AlarmState.FIRING and a.name not in self._inherited]
        if firing:
            return f"an alarm fires: {firing[0]}"
        return self._readings.blind()

    def conclude(self) -> bool:
        """End the bake: every alarm must be OK now. Return whether they were read once more. Raises StepFailed; never waits."""
        if not self.any:
            return True
        if not self._readings.last():
            return False
        self._take_in()
        if (problem := self._readings.problem) is not None:
            raise StepFailed(
                f"the alarms cannot be read at the end of the bake, so nothing proves that none fires: {problem.message}"
            )
        bad = [alarm for alarm in self._now if alarm.state is not AlarmState.OK]
        if bad:
            raise StepFailed(f"at the end of the bake alarm {bad[0]}; only OK proves that the release is healthy")
        return True

    def _take_in(self) -> None:
        was_unread = self._readings.problem is not None
        for reading in self._readings.take():
            if isinstance(reading, CloudError):
                if not was_unread:
                    self._journal.append("alarms_unread", error=reading.message)
                was_unread = True
                continue
            was_unread, self._now = False, reading
            self._inherited &= {alarm.name for alarm in reading if alarm.state is AlarmState.FIRING}
            states = {alarm.name: alarm.state for alarm in reading}
            if states != self._states:
                self._journal.append("alarms", colour=self._colour, states=states)
                self._states = states
