"""Checks answers against the service's OpenAPI document; ``from verification.contract.openapi import Contract``."""

from verification.contract.expecting import expect
from verification.contract.openapi import Contract, ContractViolation, Operation, violation

__all__ = ["Contract", "ContractViolation", "Operation", "expect", "violation"]
