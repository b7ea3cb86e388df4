"""Commands for people who write checks."""
