"""What ``python -m locust`` loads (see ``load.py``): one process by itself, the master of several, or one of those.

This folder holds nothing that is called as a module of Python's: while Locust loads this file, it comes first on ``sys.path``.
"""

from __future__ import annotations

import os
from typing import Any

import gevent
from locust import events
from locust.runners import MasterRunner, WorkerRunner

from verification.load.locusts import stdin_config
from verification.load.locusts.results_file import failures, write
from verification.load.locusts.timekeeping import Timekeeper
from verification.load.locusts.users import SmokeUser, adopt, clear
from verification.load.locusts.worker_pool import Master, Worker

__all__ = ["SmokeUser"]  # Locust looks for it here

TOLD = stdin_config.first_line()
_runners: list[Any] = []


class Alone:
    """Makes the whole load, and writes down what Locust's statistics leave out."""

    def __init__(self, environment: Any) -> None:
        self._environment = environment
        self._time = Timekeeper()
        self._failed = 0
        adopt(TOLD, TOLD["users"])
        environment.events.test_start.add_listener(self._started)
        environment.events.test_stopping.add_listener(self._stopping)
        environment.events.quitting.add_listener(self._write)
        if TOLD["most_failures"] is not None:
            environment.events.request.add_listener(self._requested)

    def _started(self, **_: Any) -> None:
        self._time.begin()
        # Locust's own --run-time counts from before the users are made, and takes whole seconds only.
        gevent.spawn_later(TOLD["seconds"], self._environment.runner.quit)

    def _stopping(self, **_: Any) -> None:
        self._time.end()

    def _requested(self, exception: Any, **_: Any) -> None:
        """Whoever may not be harmed is left alone as soon as something fails."""
        self._failed += exception is not None
        if self._failed == TOLD["most_failures"] and exception is not None:
            gevent.spawn(self._environment.runner.quit)

    def _write(self, **_: Any) -> None:
        self._time.end()  # after a signal Locust quits first and stops then
        self._environment.runner.stop()
        clear()
        write(TOLD["extra"], {**self._time.figures, "errors": failures(self._environment.stats)})


def _leave() -> None:
    if not _runners:
        os._exit(75)  # a worker that has found no master yet
    _runners[0].quit()


def _begin(environment: Any, runner: Any, **_: Any) -> None:
    _runners.append(runner)
    if isinstance(runner, WorkerRunner):
        Worker(environment, TOLD)
    elif isinstance(runner, MasterRunner):
        Master(environment, TOLD)
    else:
        Alone(environment)


stdin_config.follow_parent(_leave)
hooks: Any = events  # Locust's own types stop half way
hooks.init.add_listener(_begin)
