"""The plugins that turn a pytest run into a deployment; nothing else belongs here."""

pytest_plugins = (
    "plugins.options",
    "plugins.run",
    "plugins.fixtures",
    "plugins.declarative",
    "plugins.described.collector",
    "plugins.described.fixtures",
    "plugins.reports",
)
