output "service_name" {
  description = "Name of the service."
  value       = aws_ecs_service.main.name
}

output "service_arn" {
  description = "ARN of the service."
  value       = aws_ecs_service.main.arn
}
