"""The caller's identity, the AWS actions that each duty needs, and the check of the caller's permissions."""
