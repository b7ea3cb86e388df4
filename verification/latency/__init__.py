"""Measures and compares the latency of the candidate and the live colour."""
