"""The platform on ECS: its services, tasks, target groups and requests."""
