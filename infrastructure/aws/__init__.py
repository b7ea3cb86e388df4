"""AWS implementations of the ports of ``deployment``; ``adapters`` maps the names in deployment.toml to classes."""
