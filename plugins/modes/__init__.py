"""What a run does: the coordinator, and the modes deploy, verify and plan."""
