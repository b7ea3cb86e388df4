"""Stages in one process: a test loop that calls the coordinator before each stage."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import pytest

from deployment.errors import Refused
from plugins.integrity.findings import CollectionWatch, findings
from plugins.stages import AheadOfItems, Stage, ahead_key, check_of

if TYPE_CHECKING:
    from plugins.modes.coordinator import Coordinator


class StageEnd:
    """A placeholder for the next item at the end of a stage: pytest tears down all fixtures except the session's."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session

    def listchain(self) -> list[pytest.Session]:
        """Return the session alone."""
        return [self._session]


class _NothingAhead:
    """No check is played ahead, because the plugin for checks in YAML is switched off."""

    def plan(self, items: Sequence[pytest.Item]) -> None:
        pass

    def quiet(self) -> AbstractContextManager[None]:
        return nullcontext()

    def stop(self) -> list[str]:
        return []


class SerialPhases:
    """A test loop that runs the items stage by stage."""

    def __init__(self, coordinator: Coordinator, watch: CollectionWatch) -> None:
        self._run = coordinator
        self._watch = watch

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the stages instead of pytest's own loop."""
        try:
            checks = [check_of(item, self._run.suites) for item in session.items]
            found = findings(session.config, session.items, self._run.suites, self._watch)
            self._run.expect(checks, found, session.testsfailed)
        except Refused as error:
            self._run.refuse(error)
            return True
        ahead = session.config.stash.get(ahead_key, _NothingAhead())
        by_stage: dict[Stage, list[pytest.Item]] = {stage: [] for stage in Stage}
        for check, item in zip(checks, session.items, strict=True):
            by_stage[check.stage].append(item)
        for stage, items in by_stage.items():
            if not self._run.enter(stage):
                break
            last = all(not by_stage[later] for later in Stage if later > stage)
            ahead.plan(items)
            try:
                self._run_items(session, items, last, ahead)
            finally:
                ahead.stop()
            if session.shouldfail or session.shouldstop:
                break
        return True

    def _run_items(
        self, session: pytest.Session, items: Sequence[pytest.Item], last: bool, ahead: AheadOfItems
    ) -> None:
        queue = deque(items)
        while queue:
            item = queue.popleft()
            nextitem = queue[0] if queue else None if last else StageEnd(session)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=nextitem)
            if self._run.held:
                with ahead.quiet():
                    again = self._run.settle()
                queue.extendleft(one for one in reversed(items) if one.nodeid in again)
            if session.shouldfail or session.shouldstop or self._run.stopped:
                ahead.stop()
                # No further check will run: None as the next item tears down the session's fixtures as well.
                session._setupstate.teardown_exact(None)
                return
        if left := ahead.stop():
            self._run.fault(
                "verify", f"no item took the result of {left[0]} and {len(left) - 1} more, which were asked"
            )
