"""What users of the service do: accounts, sessions, tokens."""
