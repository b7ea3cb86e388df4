"""The framework's plugins in the order of their registration: the only name that a project's conftest.py needs."""

import pytest

from deployment.project import wrong_interpreter

if (_problem := wrong_interpreter()) is not None:
    raise pytest.UsageError(_problem)

pytest_plugins = (
    "plugins.options",
    "plugins.run",
    "plugins.fixtures",
    "plugins.streams",
    "plugins.declarative",
    "plugins.described.collector",
    "plugins.described.fixtures",
    "plugins.reports",
)
