output "user_pool_id" {
  description = "ID of the user pool."
  value       = aws_cognito_user_pool.main.id
}

output "user_pool_arn" {
  description = "ARN of the user pool."
  value       = aws_cognito_user_pool.main.arn
}

output "client_id" {
  description = "ID of the service's client."
  value       = aws_cognito_user_pool_client.main.id
}
