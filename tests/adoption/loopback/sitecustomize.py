"""Imported by every Python process that finds it: AWS answers at the endpoints that the environment names."""

from tests.adoption.endpoints import install_from_environment

install_from_environment()
