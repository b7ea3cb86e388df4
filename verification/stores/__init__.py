"""Direct connections to the service's database and Redis."""
