"""How often Python looks for reference cycles while checks run: with the default, a seventh of a run's CPU."""

from __future__ import annotations

import gc

import pytest

RARELY = (20_000, 20, 50)


class Garbage:
    """Lets the collector run rarely, and pass over what exists after the collection of the checks: it lives until the end."""

    def __init__(self) -> None:
        self._before = gc.get_threshold()
        gc.set_threshold(*RARELY)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self) -> None:
        """Exempt all objects that exist now from the collector."""
        gc.freeze()

    @pytest.hookimpl(tryfirst=True)
    def pytest_unconfigure(self) -> None:
        """Restore the collector, so that it finds all that was left open."""
        gc.unfreeze()
        gc.set_threshold(*self._before)
