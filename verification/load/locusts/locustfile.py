"""The file that ``python -m locust`` loads (see ``run.py``): a single process, the master of several, or a worker.

No file in this folder has the name of a Python module: while Locust loads this file, the folder comes first on
``sys.path``.
"""

from __future__ import annotations

import os
from typing import Any

import gevent
from locust import events
from locust.runners import MasterRunner, WorkerRunner

from verification.journeys.placeholders import provide_secrets
from verification.load.locusts import stdin_config
from verification.load.locusts.clearing import SHORT_S
from verification.load.locusts.results_file import failures, write
from verification.load.locusts.timekeeping import Timekeeper
from verification.load.locusts.users import MISSING_TOKENS, SmokeUser, adopt, clear
from verification.load.locusts.worker_pool import Master, Worker
from verification.load.model import MOST_REMOVING_S

__all__ = ["SmokeUser"]  # Locust finds it by this name

CONFIG = stdin_config.read_config()
provide_secrets(CONFIG.get("secrets", {}))  # a worker elsewhere has only variables of its own
_runners: list[Any] = []


class Alone:
    """Runs the whole load, and writes the figures that Locust's statistics leave out."""

    def __init__(self, environment: Any) -> None:
        self._environment = environment
        self._time = Timekeeper()
        self._failed = 0
        adopt(CONFIG, CONFIG["users"])
        environment.events.test_start.add_listener(self._started)
        environment.events.test_stopping.add_listener(self._stopping)
        environment.events.quitting.add_listener(self._write)
        environment.events.request.add_listener(self._time.requested)
        if CONFIG["most_failures"] is not None:
            environment.events.request.add_listener(self._requested)

    def _started(self, **_: Any) -> None:
        self._time.begin()
        # Locust's own --run-time starts before the users are created, and takes whole seconds only.
        gevent.spawn_later(CONFIG["seconds"], self._environment.runner.quit)

    def _stopping(self, **_: Any) -> None:
        self._time.end()

    def _requested(self, exception: Any, **_: Any) -> None:
        """End the load at the failure that reaches the limit, so that live is not harmed."""
        self._failed += exception is not None
        if self._failed == CONFIG["most_failures"] and exception is not None:
            gevent.spawn(self._environment.runner.quit)

    def _write(self, **_: Any) -> None:
        self._time.end()  # after a signal Locust quits first and stops afterwards
        self._environment.runner.stop()
        harmed = CONFIG["most_failures"] is not None and self._failed >= CONFIG["most_failures"]
        left = clear(SHORT_S if harmed else MOST_REMOVING_S)
        problem = next(iter(sorted(MISSING_TOKENS)), None)
        noted = {**self._time.figures, "errors": failures(self._environment.stats), "left": left}
        write(CONFIG["extra"], {**noted, "problem": problem})


def _leave() -> None:
    if not _runners:
        os._exit(75)  # a worker that has not found a master yet
    _runners[0].quit()


def _begin(environment: Any, runner: Any, **_: Any) -> None:
    _runners.append(runner)
    if isinstance(runner, WorkerRunner):
        Worker(environment, CONFIG)
        return
    environment.host = CONFIG["base_url"]  # a master sends it to its workers
    if isinstance(runner, MasterRunner):
        Master(environment, CONFIG)
    else:
        Alone(environment)


stdin_config.follow_parent(_leave)
hooks: Any = events  # Locust's own types are incomplete
hooks.init.add_listener(_begin)
