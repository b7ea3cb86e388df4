"""The HTTP clients: recorded requests, limits of an answer, loopback addresses."""
