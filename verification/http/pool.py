"""Plays independent checks ahead on several threads: their requests are paced, and each result is taken once, in order."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")
_FURTHER = 32
"""So many checks may wait for their next poll, beside those whose requests are in flight."""
_AHEAD = 4
"""For each thread at most so many checks are played before their items run."""
_CLOSING_S = 2.0
# Python lets a computing thread go on for 5 ms before another one may note that its answer has arrived; measured times would grow.
_SWITCH_S = 0.0005


class Stopped(RuntimeError):
    """The pool was stopped before this check, or its next request, was sent."""


class Pace:
    """Admits requests: at most ``in_flight`` at a time, begun at least ``1 / per_second`` seconds apart, first come, first served."""

    def __init__(self, in_flight: int, per_second: float, now: Callable[[], float] = time.monotonic) -> None:
        self._in_flight = in_flight
        self._interval_s = 1 / per_second
        self._now = now
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()
        self._running = 0
        self._next = 0.0
        self._held = False

    @contextmanager
    def slot(self, given_up: Callable[[], bool] = lambda: False) -> Iterator[float]:
        """Wait for a turn, and hold it in the block. Yields the seconds of waiting.

        Raises Stopped if ``given_up`` is true while it waits; ``wake`` makes it look.
        """
        asked, ticket = self._now(), object()
        with self._changed:
            self._queue.append(ticket)
            try:
                self._wait_for_turn(ticket, given_up)
                self._running += 1
                begun = self._now()
                self._next = begun + self._interval_s  # later requests do not catch up: a service sees no burst
            finally:
                self._queue.remove(ticket)
                self._changed.notify_all()
        try:
            yield begun - asked
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def _wait_for_turn(self, ticket: object, given_up: Callable[[], bool]) -> None:
        while True:
            if given_up():
                raise Stopped("the run was stopped before this request was sent")
            pause: float | None = None
            if not self._held and self._queue[0] is ticket and self._running < self._in_flight:
                pause = self._next - self._now()
                if pause <= 0:
                    return
            self._changed.wait(pause)

    def wake(self) -> None:
        """Let those who wait for a turn look whether they have given up."""
        with self._changed:
            self._changed.notify_all()

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Wait until no request is in flight, and admit none in the block."""
        try:
            with self._changed:
                self._held = True
                while self._running:
                    self._changed.wait()
            yield
        finally:  # also if a signal ends the waiting: ``undo`` steps must still be sent
            with self._changed:
                self._held = False
                self._changed.notify_all()


class Turn:
    """How a check that is played sends its requests: without a pool at once, in a pool at its pace.

    ``seconds`` and ``now`` exclude the time in the pool's queue, so that no limit of the check counts it.
    """

    def __init__(
        self,
        pace: Pace | None = None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        """``now`` and ``sleep`` count in seconds."""
        self._pace = pace
        self._now = now
        self._sleep = sleep
        self._waited = 0.0
        self._cancelled = threading.Event()
        self.started_at: float | None = None
        """The epoch second of the first request."""

    @property
    def cancelled(self) -> bool:
        """Return whether the check must end: no further request is sent, except those of ``undo`` steps."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """End the check before its next request."""
        self._cancelled.set()
        if self._pace is not None:
            self._pace.wake()

    def now(self) -> float:
        """Return the monotonic time without the time in the queue."""
        return self._now() - self._waited

    def sleep(self, seconds: float, *, undo: bool = False) -> None:
        """Wait without a slot, at most until the check is cancelled, which does not end the waiting of ``undo`` steps."""
        (self._sleep or (time.sleep if undo else self._cancelled.wait))(seconds)

    def slot(self, *, undo: bool = False) -> AbstractContextManager[None]:
        """Return the block in which one request may be sent; it raises Stopped once the check is cancelled, unless for ``undo``."""
        return nullcontext() if self._pace is None else self._slot(self._pace, undo)

    @contextmanager
    def _slot(self, pace: Pace, undo: bool) -> Iterator[None]:
        with pace.slot(lambda: self.cancelled and not undo) as waited:
            self._waited += waited
            if self.started_at is None:
                self.started_at = time.time()
            yield


@dataclass(frozen=True)
class Job(Generic[T]):
    """A check to play: it gets its turn, and a function to which it gives events (its exchanges) while it runs.

    ``polls``: it may wait between its requests. ``writes``: its ``undo`` steps must be waited for if the pool is stopped.
    """

    play: Callable[[Turn, Callable[[Any], None]], T]
    polls: bool = False
    writes: bool = False


@dataclass(frozen=True)
class Result(Generic[T]):
    """The result of a check: its value or its exception; when it began (epoch seconds), and its duration without the queue."""

    started_at: float
    seconds: float
    value: T | None = None
    error: BaseException | None = None

    def get(self) -> T | None:
        """Return the value. Raises the exception that the check raised."""
        if self.error is not None:
            raise self.error
        return self.value


class _Played(Generic[T]):
    def __init__(self, position: int, job: Job[T], pace: Pace) -> None:
        self.position = position
        self.job = job
        self.turn = Turn(pace)
        self.events: deque[Any] = deque()
        self.result: Result[T] | None = None
        self.begun = False


class Pool(Generic[T]):
    """Plays jobs in their order on a bounded number of threads. ``take`` returns each result once."""

    def __init__(self, jobs: Mapping[str, Job[T]], pace: Pace, in_flight: int) -> None:
        self.pace = pace
        self._changed = threading.Condition()
        self._played = {key: _Played(position, job, pace) for position, (key, job) in enumerate(jobs.items())}
        self._queue = deque(self._played.values())
        self._threads = min(len(jobs), in_flight + min(_FURTHER, sum(job.polls for job in jobs.values())))
        self._window = self._threads * _AHEAD
        self._begun: list[_Played[T]] = []
        self._reached = 0  # the position of the last job that was asked for
        self._stopped = False
        self._interval = sys.getswitchinterval()

    def start(self) -> None:
        """Begin to play, on fewer threads if the machine allows no more. Raises RuntimeError if it allows none."""
        for number in range(self._threads):
            # No thread of a stopped run keeps the process alive; ``stop`` waits for those that have something to remove.
            thread = threading.Thread(target=self._work, name=f"checks-{number}", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                if number == 0:
                    raise
                break
        sys.setswitchinterval(min(self._interval, _SWITCH_S))

    def take(self, key: str, on_event: Callable[[Any], None]) -> Result[T]:
        """Wait for a job's result and return it; ``on_event`` gets its events as they happen, in the caller's thread.

        If ``on_event`` raises, the job is cancelled, and the exception is raised once it has ended. Raises LookupError if
        the pool has no such result or it was taken before, and Stopped.
        """
        with self._changed:
            played = self._played.pop(key)
            self._reached = max(self._reached, played.position)
            self._changed.notify_all()
        try:
            while (event := self._event(played)) is not None:
                on_event(event[0])
        except BaseException as problem:
            played.turn.cancel()
            if not isinstance(problem, KeyboardInterrupt | SystemExit | Stopped):
                self._wait(played)
            raise
        assert played.result is not None, "a job without further events has ended"
        return played.result

    def stop(self, patience_s: float) -> None:
        """Play nothing further; wait at most ``patience_s`` seconds for jobs that write, so that their ``undo`` steps are sent.

        Jobs that only read get a shorter time to close their connections.
        """
        began = time.monotonic()
        with self._changed:
            self._stopped = True
            self._queue.clear()
            for played in self._played.values():
                played.turn.cancel()
            self._changed.notify_all()
            for jobs, limit_s in (
                (self._running(writes=True), patience_s),
                (self._running(), min(patience_s, _CLOSING_S)),
            ):
                until = began + limit_s
                while any(one.result is None for one in jobs) and (left := until - time.monotonic()) > 0:
                    self._changed.wait(left)
        sys.setswitchinterval(self._interval)

    def __contains__(self, key: str) -> bool:
        with self._changed:
            return key in self._played

    @property
    def left(self) -> list[str]:
        """Return the jobs whose results nobody has taken."""
        with self._changed:
            return list(self._played)

    def _running(self, *, writes: bool = False) -> list[_Played[T]]:
        return [one for one in self._begun if one.result is None and (one.job.writes or not writes)]

    def _event(self, played: _Played[T]) -> tuple[Any] | None:
        """Wait for the next event of a job and return it in a tuple, None at its end."""
        with self._changed:
            while not played.events and played.result is None:
                if self._stopped and not played.begun:
                    raise Stopped("the run was stopped before this check was asked")
                self._changed.wait()
            return (played.events.popleft(),) if played.events else None

    def _wait(self, played: _Played[T]) -> None:
        with self._changed:
            while played.begun and played.result is None:
                self._changed.wait()

    def _work(self) -> None:
        while (played := self._next()) is not None:
            result = self._play(played)
            with self._changed:
                played.result = result
                self._changed.notify_all()

    def _next(self) -> _Played[T] | None:
        with self._changed:
            while self._queue and self._queue[0].position >= self._reached + self._window:
                self._changed.wait()
            if not self._queue:
                return None
            played = self._queue.popleft()
            played.begun = True
            self._begun.append(played)
            return played

    def _play(self, played: _Played[T]) -> Result[T]:
        def emit(event: Any) -> None:
            with self._changed:
                played.events.append(event)
                self._changed.notify_all()

        begun_at, turn = time.time(), played.turn
        value: T | None = None
        error: BaseException | None = None
        began = turn.now()
        try:
            value = played.job.play(turn, emit)
        except BaseException as problem:  # the check's item raises it
            error = problem
        # Before its first request a check only waited for its turn.
        return Result(turn.started_at or begun_at, turn.now() - began, value, error)
