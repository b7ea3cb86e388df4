output "arns" {
  description = "ARN of each secret by its name: those of names, and one for each store."
  value       = { for name, secret in aws_secretsmanager_secret.by_hand : name => secret.arn }
}

output "redis_auth_arn" {
  description = "ARN of the secret with Redis's password; null without one."
  value       = one(aws_secretsmanager_secret.redis_auth[*].arn)
}
