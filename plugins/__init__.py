"""How pytest runs a deployment: options, fixtures, gates, phases with and without workers, evidence and reports."""
