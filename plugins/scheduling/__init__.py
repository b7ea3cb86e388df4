"""When checks run: stage by stage, in one process or on workers."""
