"""The router on Route 53: weighted records, resolvers and health checks."""
