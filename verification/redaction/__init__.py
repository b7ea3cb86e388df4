"""Keeps secrets and control characters out of all output."""
