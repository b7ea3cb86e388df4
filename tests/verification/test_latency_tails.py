"""Slow answers of generated series: what chance, other work, or a single core explains is no slower tail."""

from __future__ import annotations

from dataclasses import replace

from verification.latency import tails
from verification.latency.plan import LatencyLimits

LIMITS = LatencyLimits(slower_ms=0.3)
USUAL, LATE = 1.0, 300.0


def series(late: int, of: int = 480, late_ms: float = LATE) -> list[float]:
    """Return answers of which ``late``, evenly spread, take ``late_ms``."""
    return [late_ms if n * late // of != (n + 1) * late // of else USUAL for n in range(of)]


def test_slow_tail_that_live_shows_too_is_not_plain() -> None:
    assert tails.is_plain_tail([(series(24), series(0))], LIMITS)
    assert tails.is_plain_tail([(series(60), series(15))], LIMITS)
    assert not tails.is_plain_tail([(series(60), series(25))], LIMITS)
    assert not tails.is_plain_tail([(series(10), series(0))], LIMITS), "possible by chance"


def test_tail_within_the_allowed_share_is_not_plain() -> None:
    """Else many answers that are a little slow would be called plain because of few that are very slow."""
    assert not tails.is_plain_tail([(series(91, 4800), series(0, 4800))], LIMITS), "1.9 %"
    assert tails.is_plain_tail([(series(110, 4800), series(0, 4800))], LIMITS), "2.3 %"


def test_tail_that_a_shared_core_explains_is_not_plain() -> None:
    assert not tails.is_plain_tail([(series(60, late_ms=1.9), series(0))], LIMITS), "twice as long"
    assert not tails.is_plain_tail([(series(60, late_ms=12.0), series(0))], LIMITS), "a few slices of the scheduler"
    assert not tails.is_plain_tail([(series(60, late_ms=110.0), [40.0] * 480)], LIMITS), "less than three times as long"


def test_tail_from_one_core_of_several_is_not_plain() -> None:
    cores = [0, 1] * 8
    from_one_core = [value for core in cores for value in series(6 * core, 30)]
    assert tails.is_plain_tail([(from_one_core, series(0))], LIMITS)
    assert not tails.is_plain_tail([(from_one_core, series(0))], LIMITS, cores)
    assert tails.is_plain_tail([(series(48), series(0))], LIMITS, cores)


def test_tail_from_one_core_of_several_is_no_effect() -> None:
    cores = [0, 1] * 8
    from_one_core = [value for core in cores for value in series(6 * core, 30)]
    from_both = series(48)
    for candidate, known, found in (
        (from_one_core, cores, False),
        (from_one_core, [], True),
        (from_one_core, [0] * 16, True),
        (from_both, cores, True),
    ):
        measured = [replace(one, p_sessions=0.0) for one in tails.tail([(candidate, series(0))], LIMITS, 16, known)]
        assert bool(tails.slower_tail(measured, LIMITS, 0.001)) == found


def test_release_that_is_slower_as_a_whole_has_no_slower_tail() -> None:
    live = [1.0 + n % 7 / 10 for n in range(480)]
    slower = [1.4 * one for one in live]
    assert [one.slow for one in tails.tail([(slower, live)], LIMITS, 16)] == [0, 0, 0]
    with_a_tail = [one + (300 if n % 20 == 0 else 0) for n, one in enumerate(slower)]
    assert tails.slower_tail(tails.tail([(with_a_tail, live)], LIMITS, 16), LIMITS, 0.001)


def test_few_very_slow_answers_do_not_hide_many_slow_ones() -> None:
    """Each border counts for itself: 6 % against 2 % are slow, of these 1.9 % and none are very slow."""
    candidate = [LATE if n < 19 else 5.0 if n < 60 else 1.0 + n % 7 / 100 for n in range(1000)]
    live = [5.0 if n < 20 else 1.0 + n % 7 / 100 for n in range(1000)]
    found = tails.tail([(candidate, live)], LIMITS)
    assert min(one.more for one in found) < LIMITS.tail_share < max(one.more for one in found)
    assert not tails.has_slower_tail(found[0], LIMITS, 1e-4), "the smallest p belongs to the very slow ones"
    assert tails.slower_tail(found, LIMITS, 1e-4)


def test_session_in_which_a_process_was_slow_is_no_tail() -> None:
    live = [1.0] * 480
    sharing = [1.7] * 60 + [1.0] * 420
    assert [one.slow for one in tails.tail([(sharing, live)], LIMITS, 16)] == [0, 0, 0]
    assert tails.tail([(sharing, live)], LIMITS)[0].slow == 60, "without sessions it cannot be told from a tail"
