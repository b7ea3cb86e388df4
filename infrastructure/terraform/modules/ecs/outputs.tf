output "cluster_arn" {
  description = "ARN of the cluster."
  value       = aws_ecs_cluster.main.arn
}

output "cluster_name" {
  description = "Name of the cluster."
  value       = aws_ecs_cluster.main.name
}

output "execution_role_arn" {
  description = "Role that starts tasks."
  value       = aws_iam_role.execution.arn

  depends_on = [aws_iam_role_policy.execution]
}

output "task_role_arn" {
  description = "Role of the running service."
  value       = aws_iam_role.task.arn

  depends_on = [aws_iam_role_policy.task]
}

output "log_group_name" {
  description = "Log of both colours; each has its own streams."
  value       = aws_cloudwatch_log_group.main.name
}
