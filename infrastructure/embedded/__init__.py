"""The AWS of a laptop: its estate, its servers, and the APIs that moto lacks."""
