"""Alarms of other systems: quiet before the switch, watched after it. An alarm of unknown state does not count as OK."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deployment.errors import CloudError, CloudUnreachable, Refused, StepFailed
from deployment.evidence.journal import Journal
from deployment.flow.alarms import (
    READ_EVERY_S,
    AlarmWatch,
    AllAlarms,
    refuse_absent_alarms,
    refuse_firing_alarms,
)
from deployment.model import Alarm, AlarmState, Colour
from deployment.phases import Phase
from deployment.polling import BLIND_S
from tests.deployment.fakes import BLUE, GREEN, FakeClock
from tests.deployment.harness import GATES, Deployment

OK = Alarm("latency", AlarmState.OK)
FIRING = Alarm("latency", AlarmState.FIRING, "1 datapoint was greater", datetime(2026, 11, 22, 12, tzinfo=UTC))
NO_DATA = Alarm("latency", AlarmState.UNPROVEN)
ABSENT = Alarm("latency", AlarmState.ABSENT)
LOST = CloudUnreachable("cloudwatch DescribeAlarms: ThrottlingException")
MESSAGE = "latency is ALARM since 2026-11-22 12:00:00 UTC: 1 datapoint was greater"


class FakeAlarms:
    """One alarm for each colour; a test sets its state, or the error of reading it, in ``now``."""

    def __init__(self, blue: Alarm | CloudError = OK, green: Alarm | CloudError = OK) -> None:
        self.now = {BLUE: blue, GREEN: green}

    def read(self, colour: Colour) -> Sequence[Alarm]:
        found = self.now[colour]
        if isinstance(found, CloudError):
            raise found
        return [found]


class WatchedAlarm:
    """A watch over green's alarm that reads without a background thread."""

    def __init__(self, folder: Path, at_first: Alarm = OK) -> None:
        self.clock, self.alarms = FakeClock(), FakeAlarms(green=at_first)
        self.journal = Journal(folder / "audit.jsonl", "tests", self.clock)
        self.watch = AlarmWatch(self.alarms, GREEN, self.clock, self.journal)

    def read_next(self, alarm: Alarm | CloudError) -> str | None:
        self.alarms.now[GREEN] = alarm
        self.clock.sleep(READ_EVERY_S)
        return self.watch.harm()

    def kinds(self) -> list[str]:
        return [record.kind for record in self.journal.records()]


def test_firing_alarm_is_harm_at_the_next_reading(tmp_path: Path) -> None:
    watched = WatchedAlarm(tmp_path)
    assert watched.read_next(OK) is None
    assert watched.read_next(FIRING) == f"an alarm fires: {MESSAGE}"
    assert watched.kinds() == ["alarms", "alarms"], "only changes are journalled"


def test_alarm_is_not_read_before_the_interval_ends(tmp_path: Path) -> None:
    watched = WatchedAlarm(tmp_path)
    watched.alarms.now[GREEN] = FIRING
    assert watched.watch.harm() is None


def test_alarm_that_fired_before_the_switch_must_be_ok_at_the_end(tmp_path: Path) -> None:
    watched = WatchedAlarm(tmp_path, at_first=FIRING)
    assert watched.read_next(FIRING) is None
    with pytest.raises(StepFailed, match="only OK proves"):
        watched.watch.conclude()
    assert watched.read_next(OK) is None
    watched.watch.conclude()
    assert watched.read_next(FIRING) is not None, "the second time the release is the cause"


@pytest.mark.parametrize("alarm", [NO_DATA, ABSENT, FIRING])
def test_any_state_but_ok_fails_at_the_end(tmp_path: Path, alarm: Alarm) -> None:
    watched = WatchedAlarm(tmp_path, at_first=alarm)
    assert watched.read_next(alarm) is None
    with pytest.raises(StepFailed, match=f"at the end of the bake alarm latency is {alarm.state}"):
        watched.watch.conclude()


def test_unreadable_alarm_is_tolerated_for_a_limited_time(tmp_path: Path) -> None:
    watched = WatchedAlarm(tmp_path)
    assert watched.read_next(LOST) is None
    assert watched.read_next(OK) is None
    readings = int(BLIND_S / READ_EVERY_S) + 1
    assert [watched.read_next(LOST) for _ in range(readings)] == [None] * readings
    assert "could not be read for 33 s, the limit is 30 s: cloudwatch DescribeAlarms: Throttling" in str(
        watched.read_next(LOST)
    )
    assert watched.kinds() == ["alarms", "alarms_unread", "alarms_unread"], (
        "one record for each series of failed readings"
    )


def test_unreadable_alarm_fails_at_the_end(tmp_path: Path) -> None:
    watched = WatchedAlarm(tmp_path)
    assert watched.read_next(LOST) is None
    with pytest.raises(StepFailed, match="nothing proves that none fires: cloudwatch"):
        watched.watch.conclude()


def test_hanging_reading_does_not_block_the_watch(tmp_path: Path) -> None:
    """No second reading starts beside it; after BLIND_S the alarms count as unread."""
    watched = WatchedAlarm(tmp_path)
    begun: list[Callable[[], None]] = []
    watched.clock.begin = begun.append
    for _ in range(int(BLIND_S / READ_EVERY_S) + 1):
        assert watched.read_next(OK) is None
    assert len(begun) == 1
    assert "could not be read" in str(watched.read_next(OK))


def test_firing_and_absent_alarms_are_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "audit.jsonl", "tests", FakeClock())
    refuse_firing_alarms(FakeAlarms(green=FIRING), BLUE, journal)
    refuse_firing_alarms(FakeAlarms(NO_DATA), BLUE, journal)
    with pytest.raises(StepFailed, match=f"an alarm is already firing: {MESSAGE}"):
        refuse_firing_alarms(AllAlarms([FakeAlarms(), FakeAlarms(FIRING)]), BLUE, journal)
    refuse_absent_alarms(FakeAlarms())
    with pytest.raises(Refused, match="the settings name alarm 'latency', which does not exist"):
        refuse_absent_alarms(FakeAlarms(green=ABSENT))


def run_with_alarms(folder: Path, alarms: FakeAlarms, harm: Callable[[], str | None] = lambda: None) -> Deployment:
    deployment = Deployment(folder, alarms=alarms)
    deployment.run(harm)
    return deployment


@pytest.mark.parametrize("before", [FIRING, LOST])
def test_a_deployment_does_not_start_on_a_firing_alarm(tmp_path: Path, before: Alarm | CloudError) -> None:
    deployment = run_with_alarms(tmp_path, FakeAlarms(before))
    assert deployment.machine.phase is Phase.REJECTED
    assert "provision" not in deployment.cloud.names()


def test_deployment_does_not_switch_while_an_alarm_fires(tmp_path: Path) -> None:
    alarms = FakeAlarms()
    deployment = Deployment(tmp_path, alarms=alarms)
    deployment.cloud.hooks["provision"] = lambda: alarms.now.update({BLUE: FIRING})
    assert deployment.run() is Phase.REJECTED
    assert "set" not in deployment.cloud.names()


@pytest.mark.parametrize("after", [FIRING, NO_DATA, ABSENT, LOST])
def test_promotion_is_rolled_back_unless_the_alarm_is_ok(tmp_path: Path, after: Alarm | CloudError) -> None:
    alarms = FakeAlarms()

    def harm() -> None:
        alarms.now[GREEN] = after

    deployment = run_with_alarms(tmp_path, alarms, harm)
    assert deployment.machine.phase is Phase.ROLLED_BACK
    assert deployment.cloud.routes.live is BLUE


def test_promotion_with_quiet_alarms(tmp_path: Path) -> None:
    deployment = run_with_alarms(tmp_path, FakeAlarms(NO_DATA, OK))
    assert deployment.machine.phase is Phase.SUCCEEDED
    assert [record.data["states"] for record in deployment.records() if record.kind == "alarms"] == [
        {"latency": "INSUFFICIENT_DATA"},
        {"latency": "INSUFFICIENT_DATA"},
        {"latency": "OK"},
    ]


def test_alarm_is_harm_while_the_live_domain_is_verified(tmp_path: Path) -> None:
    """Neither before the switch nor after the bake: then nothing goes back."""
    alarms = FakeAlarms()
    one = Deployment(tmp_path, alarms=alarms)

    def harm(users: str | None = None) -> str | None:
        one.cloud.clock.sleep(READ_EVERY_S)
        return one.machine.harm(lambda: users)

    one.to_verified()
    assert harm("users are harmed") is None
    one.machine.promote(GATES)
    assert (harm(), harm("users are harmed")) == (None, "users are harmed")
    alarms.now[GREEN] = FIRING
    assert harm() == f"an alarm fires: {MESSAGE}"
    alarms.now[GREEN] = OK
    assert harm() is None
    one.machine.bake(lambda: None)
    assert harm("users are harmed") is None
