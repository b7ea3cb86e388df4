"""Watches the promoted release and decides whether it is worse than the previous one."""
