"""How pytest runs a deployment: options, fixtures, gates, stages with and without workers, evidence and reports."""
