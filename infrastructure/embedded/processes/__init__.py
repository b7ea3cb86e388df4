"""The processes of an environment: one module per server, and the code that starts, probes and stops them."""
