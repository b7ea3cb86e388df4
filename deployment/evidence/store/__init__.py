"""The audit store: copies of each run's evidence, and bundles of them that can be checked anywhere."""
