"""Every argument with which AWS or Terraform refuses to delete a resource, or keeps its name or data."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Values = Mapping[str, Any]
KEEPS: Mapping[str, Callable[[Values], bool]] = {
    "deletion_protection": lambda one: one["deletion_protection"] in (True, "ACTIVE"),
    "deletion_protection_enabled": lambda one: bool(one["deletion_protection_enabled"]),
    "enable_deletion_protection": lambda one: bool(one["enable_deletion_protection"]),
    "skip_final_snapshot": lambda one: not one["skip_final_snapshot"],
    "delete_automated_backups": lambda one: not one["delete_automated_backups"],
    "recovery_window_in_days": lambda one: one["recovery_window_in_days"] != 0,
    "force_destroy": lambda one: not one["force_destroy"],
    "force_delete": lambda one: not one["force_delete"],
}
"""By argument: whether a resource with it stays, or keeps its name or its data, when it is destroyed."""
ELSEWHERE = {
    # These have the argument, but hold nothing that stands in the way.
    ("aws_ecs_service", "force_delete"),
    ("aws_iam_role", "force_detach_policies"),
    ("aws_route53_zone", "force_destroy"),
}


def kept(resources: Mapping[str, Values]) -> Iterator[tuple[str, str]]:
    """Yield (address, argument) of everything that would refuse or outlive ``terraform destroy``."""
    for address, values in resources.items():
        kind = re.sub(r"\[.*?\]", "", address).split(".")[-2]
        for argument, keeps in KEEPS.items():
            if argument in values and (kind, argument) not in ELSEWHERE and keeps(values):
                yield address, argument
        if kind == "aws_s3_bucket_object_lock_configuration":
            (retention,) = values["rule"][0]["default_retention"]
            if (retention["mode"], retention["days"]) != ("GOVERNANCE", 1):
                yield address, "default_retention"
