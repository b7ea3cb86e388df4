output "repository_name" {
  description = "Name of the repository."
  value       = aws_ecr_repository.main.name
}

output "repository_arn" {
  description = "ARN of the repository."
  value       = aws_ecr_repository.main.arn
}

output "repository_url" {
  description = "Address of the repository, without tag or digest."
  value       = aws_ecr_repository.main.repository_url
}
