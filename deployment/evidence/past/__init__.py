"""The history of all runs, read from their reports alone: the runs, a person's marks, and figures about deployments."""
