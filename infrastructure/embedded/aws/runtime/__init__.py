"""Images, processes, ports, logs and secrets: how a container of App Runner or ECS runs on this machine."""
