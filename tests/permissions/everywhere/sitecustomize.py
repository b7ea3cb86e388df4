"""Imported by every Python process that finds it: enforces the role that the environment names."""

from tests.permissions.enforcement import install_from_environment

install_from_environment()
