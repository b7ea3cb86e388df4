output "cluster" {
  description = "Cluster in which the task runs."
  value       = aws_ecs_cluster.main.name
}

output "task_definition" {
  description = "Family of the task."
  value       = aws_ecs_task_definition.main.family
}
