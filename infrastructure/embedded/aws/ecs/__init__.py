"""ECS: task definitions, services, rolling deployments and tasks."""
