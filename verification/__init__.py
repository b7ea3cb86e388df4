"""Building blocks for checks: HTTP client, contract, statistics, prober, load. Imports no other package of this project."""
