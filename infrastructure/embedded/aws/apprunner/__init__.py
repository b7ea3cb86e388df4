"""App Runner: services, operations, instances and the ingress before them."""
