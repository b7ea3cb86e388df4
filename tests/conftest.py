"""Options for the framework's own tests: without ``--soak`` (`make soak`), long tests are left out."""

from __future__ import annotations

# httpx imports httpcore at the first request. pytester restores sys.modules after a run in this process: a first request in
# such a run would leave httpx with the exceptions of a discarded httpcore, and it would no longer recognise a ConnectError.
import httpcore  # noqa: F401
import pytest
import scipy.special  # noqa: F401  # a second import fails, and pytester forgets what its runs have imported first
import vl_convert  # noqa: F401  # as scipy.special

from tests.slowest import CpuMeter, SlowestFiles
from tests.soak import Soak

# The longest files, longest first, and then the folders whose tests start whole environments, and those that start processes.
FIRST = (
    "tests/test_types.py",
    "tests/docs/test_docs_commands.py",
    "tests/e2e/test_on_ecs.py",
    "tests/terraform/test_estate.py",
    "tests/e2e/test_rolled_back_releases.py",
    "tests/projects/test_examples.py",
    "tests/e2e",
    "tests/gates",
    "tests/embedded",
    "tests/projects",
    "tests/plugins",
    "tests/embedded_aws_contract",
    "tests/embedded_aws",
    "tests/service",
    "tests/terraform",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--soak``, ``--soak-seconds`` and ``--slowest-files``."""
    parser.addoption("--soak", action="store_true", help="also run what `make test` leaves out for its time")
    parser.addoption("--soak-seconds", type=float, default=float("inf"), help="begin no test of a soak after this")
    parser.addoption(
        "--slowest-files", type=int, metavar="N", help="print the elapsed and CPU times of the N slowest files"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Record the tests that passed with ``--soak``, so that the next soak continues there, and the times of files if asked."""
    if config.getoption("--soak"):
        config.pluginmanager.register(Soak(config), "soak")
    if most := config.getoption("--slowest-files"):
        config.pluginmanager.register(CpuMeter(), "cpu-meter")
        if not hasattr(config, "workerinput"):
            config.pluginmanager.register(SlowestFiles(most), "slowest-files")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect soak tests without ``--soak``; sort the slow files first, so that no worker runs one alone at the end."""
    if not config.getoption("--soak"):
        soak = {item for item in items if item.get_closest_marker("soak")}
        config.hook.pytest_deselected(items=list(soak))
        items[:] = [item for item in items if item not in soak]
    items.sort(key=lambda item: turn(item.nodeid))


def turn(nodeid: str) -> int:
    """Return the position of a test's file or folder in FIRST, or the one after its end."""
    file = nodeid.partition("::")[0]
    for place in (file, file.rpartition("/")[0]):
        if place in FIRST:
            return FIRST.index(place)
    return len(FIRST)
