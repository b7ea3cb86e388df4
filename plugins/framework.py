"""The framework's plugins in the order of their registration: the only name that a project's conftest.py needs."""

pytest_plugins = (
    "plugins.options",
    "plugins.run",
    "plugins.fixtures",
    "plugins.declarative",
    "plugins.described.collector",
    "plugins.described.fixtures",
    "plugins.reports",
)
