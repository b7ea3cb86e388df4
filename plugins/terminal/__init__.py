"""The terminal output of a run: progress and redaction."""
