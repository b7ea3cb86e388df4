output "arns" {
  description = "ARN of each secret by its name: database-url, jwt-secret, smoke-users, signing-key, signing-public-key."
  value       = { for name, secret in aws_secretsmanager_secret.by_hand : name => secret.arn }
}

output "redis_auth_arn" {
  description = "ARN of the secret with Redis's password."
  value       = aws_secretsmanager_secret.redis_auth.arn
}
