"""Runs the load and compares it; Locust runs in processes of its own."""
