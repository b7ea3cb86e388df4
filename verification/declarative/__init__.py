"""Checks in YAML: reads them, sends their requests, judges the answers."""
