"""Schedulers that run the checks stage by stage, in one process or on workers."""
