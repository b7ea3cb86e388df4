"""The availability prober: a process of its own that sends requests to the live domain during a run."""
