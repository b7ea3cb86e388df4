"""The coordinator, and the modes of a run: deploy, verify and plan."""
