"""The pauses between restarts of an instance that dies again and again."""

from __future__ import annotations

from infrastructure.embedded.aws.apprunner.backoff import LONGEST_PAUSE_S, BackOff
from infrastructure.embedded.aws.runtime.instances import Instance


def instance(name: str, started_at: float) -> Instance:
    return Instance(name, "revision", 1, started_at, 1)


def pause(back_off: BackOff, now: float) -> float:
    """Return how many seconds after `now` a restart is due, to a tenth of a second."""
    return next(tenths / 10 for tenths in range(1000) if back_off.due(now + tenths / 10))


def test_pauses_double_up_to_a_limit() -> None:
    back_off, now, pauses = BackOff(), 1000.0, []
    assert back_off.due(now)
    for _ in range(8):
        back_off.attempted(instance("never replaced", 999.0), now)
        pauses.append(pause(back_off, now))
        now += 100  # an instance that stays dead was not steady, however long ago it began
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, LONGEST_PAUSE_S]


def test_a_steady_instance_ends_the_loop() -> None:
    back_off = BackOff()
    for number in range(4):
        back_off.attempted(instance(f"quick {number}", 1000.0 + number), 1001.0 + number)
    back_off.attempted(instance("steady", 1010.0), 1050.0)
    assert pause(back_off, 1050.0) == 0.5
