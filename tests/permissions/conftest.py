"""Terraform's core for the roles' policies, as in tests/terraform."""

from __future__ import annotations

from tests.terraform.conftest import terraform

__all__ = ["terraform"]
