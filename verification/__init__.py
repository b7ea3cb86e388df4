"""What checks are made of: HTTP client, contract, statistics, prober, load. Imports nothing else of this project."""
