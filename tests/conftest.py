"""How long the framework's own tests take: what goes further waits for `make soak`, and what takes long begins first."""

from __future__ import annotations

import pytest

LONGEST_FIRST = (
    "tests/e2e/",
    "tests/docs/",
    "tests/plugins/",
    "tests/embedded/",
    "tests/aws_faults/",
    "tests/service/",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds ``--soak``."""
    parser.addoption("--soak", action="store_true", help="also run what `make test` leaves out for its time")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves soak tests out unless asked for; workers end together only if long files do not begin last."""
    if not config.getoption("--soak"):
        soak = [item for item in items if item.get_closest_marker("soak")]
        items[:] = [item for item in items if item not in soak]
        config.hook.pytest_deselected(items=soak)
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    folders = [index for index, folder in enumerate(LONGEST_FIRST) if item.nodeid.startswith(folder)]
    return folders[0] if folders else len(LONGEST_FIRST)
