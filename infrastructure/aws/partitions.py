"""The partition of a region: the word after ``arn:``, and the domain of its registries."""

from __future__ import annotations

_PARTITIONS = {"cn-": ("aws-cn", "amazonaws.com.cn"), "us-gov-": ("aws-us-gov", "amazonaws.com")}
_STANDARD = ("aws", "amazonaws.com")


def partition_of(region: str) -> str:
    """Return the partition that begins the region's ARNs: ``aws``, ``aws-cn`` or ``aws-us-gov``."""
    return _found(region)[0]


def registry_host(account: str, region: str) -> str:
    """Return the host of an account's ECR registry."""
    return f"{account}.dkr.ecr.{region}.{_found(region)[1]}"


def _found(region: str) -> tuple[str, str]:
    return next((found for prefix, found in _PARTITIONS.items() if region.startswith(prefix)), _STANDARD)
