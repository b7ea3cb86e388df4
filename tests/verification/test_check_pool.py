"""Checks that are played ahead: paced requests, each result taken once, and an orderly end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from verification.http.pool import Job, Pace, Pool, Stopped, Turn

Play = Callable[[Turn, Callable[[Any], None]], str]
SOON_S = 20.0


@contextmanager
def pool_of(jobs: dict[str, Job[str]], in_flight: int = 4, per_second: float = 1000.0) -> Iterator[Pool[str]]:
    pool = Pool(jobs, Pace(in_flight, per_second), in_flight)
    pool.start()
    try:
        yield pool
    finally:
        pool.stop(SOON_S)


class Service:
    """Counts requests that are in flight; ``answer`` returns once the test lets it."""

    def __init__(self) -> None:
        self.most = self.running = 0
        self.begun: list[float] = []
        self.free = threading.Event()
        self._lock = threading.Lock()

    def answer(self, turn: Turn) -> None:
        with turn.slot():
            with self._lock:
                self.running += 1
                self.begun.append(time.monotonic())
                self.most = max(self.most, self.running)
            assert self.free.wait(SOON_S)
            with self._lock:
                self.running -= 1

    def reached(self, number: int) -> None:
        until = time.monotonic() + SOON_S
        while len(self.begun) < number and time.monotonic() < until:
            threading.Event().wait(0.001)
        assert len(self.begun) >= number


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    end = time.monotonic() + SOON_S
    while not condition() and time.monotonic() < end:
        threading.Event().wait(0.001)
    assert condition()


def asking(service: Service, name: str) -> Job[str]:
    def play(turn: Turn, emit: Callable[[Any], None]) -> str:
        emit(f"before {name}")
        service.answer(turn)
        emit(f"after {name}")
        return name

    return Job(play)


def test_requests_overlap_within_the_bound_and_each_result_belongs_to_its_item() -> None:
    service = Service()
    names = [f"item {n}" for n in range(40)]
    with pool_of({name: asking(service, name) for name in names}, in_flight=4) as pool:
        service.reached(4)
        service.free.set()
        for name in names:
            events: list[Any] = []
            assert pool.take(name, events.append).get() == name
            assert events == [f"before {name}", f"after {name}"]
        assert pool.left == []
    assert service.most == 4


def test_requests_keep_their_distance() -> None:
    service = Service()
    service.free.set()
    began = time.monotonic()
    with pool_of({str(n): asking(service, str(n)) for n in range(10)}, in_flight=10, per_second=200.0) as pool:
        for n in range(10):
            pool.take(str(n), lambda _: None)
    assert max(service.begun) - began >= 9 / 200


def test_a_result_is_taken_once_and_an_unknown_one_is_an_error() -> None:
    service = Service()
    service.free.set()
    with pool_of({"a": asking(service, "a"), "b": asking(service, "b")}) as pool:
        pool.take("a", lambda _: None)
        with pytest.raises(LookupError):
            pool.take("a", lambda _: None)
        with pytest.raises(LookupError):
            pool.take("c", lambda _: None)
        assert pool.left == ["b"]


def test_the_exception_of_a_check_is_raised_by_its_item_alone() -> None:
    def broken(turn: Turn, emit: Callable[[Any], None]) -> str:
        raise ValueError("not signed in")

    service = Service()
    service.free.set()
    with pool_of({"a": Job(broken), "b": asking(service, "b")}) as pool:
        with pytest.raises(ValueError, match="not signed in"):
            pool.take("a", lambda _: None).get()
        assert pool.take("b", lambda _: None).get() == "b"


def test_no_limit_counts_the_time_in_the_queue() -> None:
    clock, looked = [100.0], threading.Semaphore(0)

    def now() -> float:
        looked.release()
        return clock[0]

    pace = Pace(1, 1000.0, now)
    turn, times = Turn(pace, lambda: clock[0]), list[float]()

    def second() -> None:
        times.append(turn.now())
        with turn.slot():
            times.append(turn.now())
            clock[0] += 7
        times.append(turn.now())

    with pace.slot():
        while looked.acquire(blocking=False):
            pass
        thread = threading.Thread(target=second)
        thread.start()
        assert looked.acquire(timeout=SOON_S)  # the second request is in the queue
        clock[0] += 50
    thread.join(SOON_S)
    assert times == [100.0, 100.0, 107.0]


def test_a_poll_that_waits_holds_no_slot() -> None:
    service, polled = Service(), threading.Event()
    service.free.set()

    def polling(turn: Turn, emit: Callable[[Any], None]) -> str:
        service.answer(turn)
        while not polled.wait(0.01):
            turn.sleep(0.01)
        return "polled"

    jobs = {f"poll {n}": Job(polling, polls=True) for n in range(4)} | {"quick": asking(service, "quick")}
    with pool_of(jobs, in_flight=2) as pool:
        assert pool.take("quick", lambda _: None).get() == "quick"  # although four polls began before it
        polled.set()
        assert [pool.take(f"poll {n}", lambda _: None).get() for n in range(4)] == ["polled"] * 4


def test_nothing_is_in_flight_while_an_operation_is_measured_alone() -> None:
    service = Service()
    with pool_of({str(n): asking(service, str(n)) for n in range(20)}, in_flight=4) as pool:
        service.reached(4)
        service.free.set()
        with pool.pace.quiet():
            assert service.running == 0
            begun = len(service.begun)
            threading.Event().wait(0.05)
            assert len(service.begun) == begun
        assert [pool.take(str(n), lambda _: None).get() for n in range(20)] == [str(n) for n in range(20)]


def test_a_check_whose_item_ends_early_is_cancelled_and_finishes_its_undo_steps() -> None:
    done: list[str] = []

    def writing(turn: Turn, emit: Callable[[Any], None]) -> str:
        emit("slow")
        turn.sleep(SOON_S)
        done.append("undone" if turn.cancelled else "went on")
        return "never taken"

    class CutShort(BaseException):
        pass

    def cut(_: Any) -> None:
        raise CutShort

    with pool_of({"a": Job(writing, writes=True)}) as pool, pytest.raises(CutShort):
        pool.take("a", cut)
    assert done == ["undone"]


def test_a_stopped_pool_begins_nothing_and_waits_for_what_must_be_removed() -> None:
    done: list[str] = []
    begun = threading.Event()

    def writing(turn: Turn, emit: Callable[[Any], None]) -> str:
        begun.set()
        turn.sleep(SOON_S)
        done.append("undone")
        return ""

    service = Service()
    pool = Pool({"a": Job(writing, writes=True), "b": asking(service, "b")}, Pace(1, 1000.0), 1)
    pool.start()
    assert begun.wait(SOON_S)
    pool.stop(SOON_S)
    assert done == ["undone"]
    assert service.begun == []
    with pytest.raises(Stopped):
        pool.take("b", lambda _: None)


def test_items_that_never_ask_for_their_results_do_not_block_later_ones() -> None:
    service = Service()
    service.free.set()
    with pool_of({str(n): asking(service, str(n)) for n in range(100)}, in_flight=1) as pool:
        assert pool.take("99", lambda _: None).get() == "99"
        assert len(pool.left) == 99


def test_a_check_that_waits_for_its_turn_sends_nothing_once_the_pool_is_stopped() -> None:
    service, turns = Service(), dict[str, Turn]()

    def asking_in_turn(name: str) -> Job[str]:
        def play(turn: Turn, emit: Callable[[Any], None]) -> str:
            turns[name] = turn
            service.answer(turn)
            return name

        return Job(play)

    pool = Pool({name: asking_in_turn(name) for name in "abc"}, Pace(1, 1000.0), 3)
    pool.start()
    service.reached(1)
    until(lambda: len(turns) == 3)
    stopping = threading.Thread(target=pool.stop, args=(SOON_S,))
    stopping.start()
    until(lambda: all(turn.cancelled for turn in turns.values()))
    service.free.set()
    stopping.join(SOON_S)
    until(lambda: not any(thread.name.startswith("checks-") for thread in threading.enumerate()))
    assert len(service.begun) == 1


def test_a_cancelled_check_still_gets_a_turn_for_its_undo_steps() -> None:
    turn = Turn(Pace(1, 1000.0))
    turn.cancel()
    with pytest.raises(Stopped), turn.slot():
        pass
    with turn.slot(undo=True):
        pass


def test_a_signal_while_requests_are_awaited_does_not_hold_back_later_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    pace, service = Pace(1, 1000.0), Service()
    asked = threading.Thread(target=service.answer, args=(Turn(pace),), daemon=True)
    asked.start()
    service.reached(1)

    def wait(timeout: float | None = None) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as signal:
        signal.setattr(pace._changed, "wait", wait)
        with pytest.raises(KeyboardInterrupt), pace.quiet():
            pass
    service.free.set()
    undoing = threading.Thread(target=service.answer, args=(Turn(pace),), daemon=True)
    undoing.start()
    undoing.join(SOON_S)
    asked.join(SOON_S)
    assert len(service.begun) == 2


def test_fewer_threads_than_wanted_play_everything_and_none_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    started, allowed = threading.Thread.start, [2]

    def start(thread: threading.Thread) -> None:
        if thread.name.startswith("checks-"):
            if not allowed[0]:
                raise RuntimeError("can't start new thread")
            allowed[0] -= 1
        started(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    service = Service()
    service.free.set()
    jobs = {str(n): asking(service, str(n)) for n in range(40)}
    with pool_of(jobs, in_flight=8) as pool:
        assert [pool.take(str(n), lambda _: None).get() for n in range(40)] == [str(n) for n in range(40)]
    with pytest.raises(RuntimeError, match="new thread"):
        Pool(jobs, Pace(8, 1000.0), 8).start()
