"""Options for the framework's own tests: without ``--soak`` (`make soak`), long tests are left out."""

from __future__ import annotations

# httpx imports httpcore at the first request. pytester restores sys.modules after a run in this process: a first request in
# such a run would leave httpx with the exceptions of a discarded httpcore, and it would no longer recognise a ConnectError.
import httpcore  # noqa: F401
import pytest

from tests.soak import Soak

# Folders whose tests start whole environments.
LONG = {"e2e", "docs", "gates", "embedded"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--soak`` and ``--soak-seconds``."""
    parser.addoption("--soak", action="store_true", help="also run what `make test` leaves out for its time")
    parser.addoption("--soak-seconds", type=float, default=float("inf"), help="begin no test of a soak after this")


def pytest_configure(config: pytest.Config) -> None:
    """With ``--soak``, record the tests that passed, so that the next soak continues there."""
    if config.getoption("--soak"):
        config.pluginmanager.register(Soak(config), "soak")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect soak tests without ``--soak``; sort the slow folders first, so that no worker runs them alone at the end."""
    if not config.getoption("--soak"):
        soak = {item for item in items if item.get_closest_marker("soak")}
        config.hook.pytest_deselected(items=list(soak))
        items[:] = [item for item in items if item not in soak]
    items.sort(key=lambda item: item.path.parent.name not in LONG)
