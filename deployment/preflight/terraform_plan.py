"""Checks a Terraform plan, from ``terraform show -json PLANFILE``: clean if nothing but the idle colour would change."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from deployment.errors import Refused
from deployment.model import Colour

IDLE_ACTIONS = frozenset({"no-op", "read"})
MOST_SHOWN = 8
_FORMAT = re.compile(r"1\.\d+")


def load(path: Path) -> Mapping[str, Any]:
    """Read the plan from a file. Raises Refused if it is not a Terraform plan."""
    hint = "Make one: terraform plan -out=plan.bin, then terraform show -json plan.bin > plan.json."
    plan: Any
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refused(f"the plan {path} cannot be read: {error.strerror}", hint=hint) from None
    except ValueError:
        raise Refused(f"the plan {path} is not JSON", hint=hint) from None
    known = isinstance(plan, dict) and _FORMAT.fullmatch(str(plan.get("format_version", "")))
    if not known or not isinstance(plan.get("resource_changes", []), list):
        raise Refused(f"{path} is not a Terraform plan, or its format is unknown", hint=hint)
    document: Mapping[str, Any] = plan
    return document


def objections(plan: Mapping[str, Any], idle: Colour, now: datetime, max_age_s: float) -> Sequence[str]:
    """Return why the plan is not clean, one line each; empty if it is."""
    lines = []
    if plan.get("errored"):
        lines.append("planning ended with an error")
    made = plan.get("timestamp")
    if made is not None:
        age = now - datetime.fromisoformat(str(made))
        if age > timedelta(seconds=max_age_s):
            lines.append(f"the plan is {age.total_seconds():.0f} s old, the limit is {max_age_s:g} s")
    changes = [
        f"{change['address']}: {', '.join(actions)}"
        for change in plan.get("resource_changes", ())
        if (actions := [one for one in change["change"]["actions"] if one not in IDLE_ACTIONS])
        and not belongs_to(str(change["address"]), idle)
    ]
    lines += changes[:MOST_SHOWN]
    if len(changes) > MOST_SHOWN:
        lines.append(f"and {len(changes) - MOST_SHOWN} more changes")
    return lines


def belongs_to(address: str, colour: Colour) -> bool:
    """Return whether a resource's address names this colour and not the other: ``module.app_runner["green"].aws_…``."""
    words = set(re.split(r"[^A-Za-z0-9]+", address.lower()))
    return colour.value in words and colour.other.value not in words
