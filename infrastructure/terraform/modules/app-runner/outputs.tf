output "app_runner_url" {
  description = "Host of the service's own address, without scheme."
  value       = aws_apprunner_service.main.service_url
}

output "app_runner_arn" {
  description = "ARN of the service."
  value       = aws_apprunner_service.main.arn
}

output "app_runner_id" {
  description = "ID of the service, as its metrics and log groups know it."
  value       = aws_apprunner_service.main.service_id
}

output "service_name" {
  description = "Name of the service."
  value       = aws_apprunner_service.main.service_name
}
