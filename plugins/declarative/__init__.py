"""Checks in YAML as items of pytest."""

pytest_plugins = ("plugins.declarative.collector",)
