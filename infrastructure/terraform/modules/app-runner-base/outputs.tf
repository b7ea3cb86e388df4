output "access_role_arn" {
  description = "Role that pulls images."
  value       = aws_iam_role.access.arn

  depends_on = [aws_iam_role_policy.access]
}

output "instance_role_arn" {
  description = "Role of the running service."
  value       = aws_iam_role.instance.arn

  depends_on = [aws_iam_role_policy.instance]
}

output "vpc_connector_arn" {
  description = "Way into the VPC."
  value       = aws_apprunner_vpc_connector.main.arn
}

output "auto_scaling_configuration_arn" {
  description = "How both colours scale."
  value       = aws_apprunner_auto_scaling_configuration_version.main.arn
}

output "observability_configuration_arn" {
  description = "How both colours are traced."
  value       = aws_apprunner_observability_configuration.main.arn
}
