"""How long the framework's own tests take: what goes further waits for `make soak`."""

from __future__ import annotations

# httpx imports it at the first request. pytester gives sys.modules back after a run in this process: a first request in there
# would leave httpx with the exceptions of a copy that nobody raises any more, and no ConnectError would be known again.
import httpcore  # noqa: F401
import pytest

from tests.soak import Soak

# Folders whose tests start whole environments.
LONG = {"e2e", "docs", "gates", "embedded"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds ``--soak``."""
    parser.addoption("--soak", action="store_true", help="also run what `make test` leaves out for its time")
    parser.addoption("--soak-seconds", type=float, default=float("inf"), help="begin no test of a soak after this")


def pytest_configure(config: pytest.Config) -> None:
    """Where asked for, keeps what passed, so that a soak can go on where it ended."""
    if config.getoption("--soak"):
        config.pluginmanager.register(Soak(config), "soak")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves soak tests out unless asked for, and begins with what takes longest: no worker is to end alone with it."""
    if not config.getoption("--soak"):
        soak = {item for item in items if item.get_closest_marker("soak")}
        config.hook.pytest_deselected(items=list(soak))
        items[:] = [item for item in items if item not in soak]
    items.sort(key=lambda item: item.path.parent.name not in LONG)
