"""The prober's own process: ``python -m verification.prober.process``, started by ``verification.prober.prober``.

It reads its configuration from the first line of stdin, writes samples to stdout as lines of JSON, and ends when stdin
does (its parent is gone) or on SIGTERM. Arrivals have a constant rate; late arrivals are dropped, never caught up with
in a burst.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable

from verification.http.loopback import tls_context
from verification.http.raw_http import FAILURES, Answer, Connection, number_of
from verification.journeys import issuers
from verification.prober.cleaning import Cleaner
from verification.prober.config import ProberConfig
from verification.prober.requests import Ask, Script
from verification.prober.samples import Sample
from verification.redaction.printable import printable

# Kept connections take turns, so that more than one of them shows a switch.
_KEPT = 8
_CLEAN_UP_S = 2.0
_SETTLE_S = 0.5


class Clock:
    """Epoch seconds that never step back: the wall clock at the start, then a monotonic clock."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """Return the epoch seconds."""
        return self._offset + time.monotonic()


class ProberProcess:
    """Paces arrivals, hands each to a thread of its own choice, and writes the samples."""

    def __init__(self, config: ProberConfig, writing: threading.Lock, *, control: bool = False) -> None:
        """``writing`` is held while a sample is written; ``control`` marks the samples."""
        self._config = config
        self._control = control
        self._context = tls_context(config.ca_file) if config.base_url.startswith("https:") else None
        self._script = Script(config)
        self._clock = Clock()
        self._stop = threading.Event()
        self._kept: deque[Connection] = deque()
        self._work: queue.SimpleQueue[Ask] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._workers = 0
        self._writing = writing

    def stop(self) -> None:
        """Accept no further arrival. Safe in a signal handler's thread."""
        self._stop.set()

    def run(self) -> None:
        """Run until ``stop``; then remove the written data, for 2 s at most."""
        self._pace()
        self._settle()
        connection = Connection(self._config.base_url, self._context, _CLEAN_UP_S, route=self._config.route)
        cleaner = Cleaner(self._script, connection, _log)
        thread = threading.Thread(target=cleaner.run, daemon=True)
        thread.start()
        thread.join(_CLEAN_UP_S)
        if thread.is_alive():
            _log(f"gave up removing what it wrote after {_CLEAN_UP_S:g} s: {cleaner.left} plays left something")
        else:
            connection.close()
        for operation, count in self._script.not_asked.items():
            _log(f"{operation} was not asked {count} times, because an earlier step of its journey had failed")
        for problem in issuers.problems():
            _log(problem)

    def _pace(self) -> None:
        """Start one arrival each 1/rate seconds; drop an arrival that is late by more than one period."""
        period = 1 / self._config.rate
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            self._dispatch()
            due += period
            late = time.monotonic() - due
            if late > period:
                due += period * int(late / period)

    def _dispatch(self) -> None:
        if not self._idle.acquire(blocking=False):
            if self._workers < self._config.max_in_flight:
                self._workers += 1
                threading.Thread(target=self._serve, daemon=True).start()
            elif not self._wait_for_worker():
                return
        self._work.put(self._script.next())

    def _wait_for_worker(self) -> bool:
        while not self._stop.is_set():
            if self._idle.acquire(timeout=0.05):
                return True
        return False

    def _settle(self) -> None:
        """Wait half a second for pending answers: their data must be removed, too."""
        deadline = time.monotonic() + _SETTLE_S
        for _ in range(self._workers):
            if not self._idle.acquire(timeout=max(0.0, deadline - time.monotonic())):
                return

    def _serve(self) -> None:
        while True:
            ask = self._work.get()
            try:
                self._emit(self._ask(ask))
            except BaseException as exc:
                # A thread that ends silently would be a gap in the measurement: end the process, which the parent notices.
                _log(f"{type(exc).__name__} in the prober itself while asking {ask.operation}: {exc}")
                os._exit(70)
            self._idle.release()

    def _ask(self, ask: Ask) -> Sample:
        connection = self._connection(ask)
        at = self._clock.now()
        answer: Answer | None = None
        failure: str | None = None
        request = ask.prepared
        try:
            answer = connection.ask(request.method, request.path, ask.headers, request.body)
        except FAILURES as exc:
            failure = f"{type(exc).__name__}: {exc}"
        done = self._clock.now()
        self._give_back(ask, connection, reusable=answer is not None)
        judged = self._script.learn(ask, answer)
        problem = failure or judged.problem
        status = answer.status if answer else None
        colour, generation = _origin(answer)
        return Sample(
            at,
            done,
            problem is None,
            ask.kind,
            ask.operation,
            status,
            colour,
            generation,
            judged.version,
            problem,
            self._control,
        )

    def _connection(self, ask: Ask) -> Connection:
        if ask.kind == "kept":
            with contextlib.suppress(IndexError):
                while True:
                    kept = self._kept.popleft()
                    if kept.usable:
                        return kept
                    kept.close()
        config = self._config
        return Connection(config.base_url, self._context, config.timeout_s, config.largest, config.route)

    def _give_back(self, ask: Ask, connection: Connection, *, reusable: bool) -> None:
        if ask.kind == "kept" and reusable and connection.usable and len(self._kept) < _KEPT:
            self._kept.append(connection)
        else:
            connection.close()

    def _emit(self, sample: Sample) -> None:
        line = sample.to_line().encode()
        with self._writing:
            try:
                while line:
                    line = line[os.write(1, line) :]
            except BrokenPipeError:
                self.stop()


def _origin(answer: Answer | None) -> tuple[str | None, int | None]:
    """Return colour and generation, as the front door's headers name them."""
    if answer is None:
        return None, None
    return answer.headers.get("x-bg-color"), number_of(answer.headers.get("x-bg-generation"))


def _log(text: str) -> None:
    print(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), printable(text), file=sys.stderr, flush=True)


def _watch_parent(stop: Callable[[], None]) -> None:
    while os.read(0, 4096):
        pass
    stop()


def main() -> int:
    """Run the process, from its first line of stdin to its end.

    Returns 0 after SIGTERM or the parent's end; 2 without a valid configuration.
    """
    line = bytearray()
    while not line.endswith(b"\n"):  # not sys.stdin: its buffer would hide the end of file from the watching thread
        piece = os.read(0, 65536)  # the parent writes one line and no more
        if not piece:
            _log("no configuration on stdin: expected one line of JSON")
            return 2
        line += piece
    config, writing = ProberConfig.from_line(line.decode()), threading.Lock()
    processes = [ProberProcess(config, writing)]
    if config.control is not None:
        processes.append(ProberProcess(config.control, writing, control=True))

    def stop(*_: object) -> None:
        for process in processes:
            process.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    threading.Thread(target=_watch_parent, args=(stop,), daemon=True).start()
    beside = [threading.Thread(target=process.run, daemon=True) for process in processes[1:]]
    for thread in beside:
        thread.start()
    processes[0].run()
    for thread in beside:
        thread.join(_SETTLE_S + _CLEAN_UP_S + 0.5)
    return 0


if __name__ == "__main__":
    code = main()
    # Threads may still wait for answers that are no longer needed.
    os._exit(code)
