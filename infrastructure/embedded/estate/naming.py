"""The names of an environment's resources, the same on both platforms."""

from __future__ import annotations

COLOURS = ("blue", "green")
FIRST_COLOUR = "blue"
PREFIX = "embedded-telehealth"
SERVICES = {colour: f"{PREFIX}-api-{colour}" for colour in COLOURS}
LEASE_TABLE = f"{PREFIX}-deploy-state"
AUDIT_BUCKET = f"{PREFIX}-audit"
TOPIC = f"{PREFIX}-deployments"
