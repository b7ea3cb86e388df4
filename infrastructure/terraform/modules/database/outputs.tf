output "endpoint" {
  description = "Host and port of the database."
  value       = aws_db_instance.main.endpoint
}

output "address" {
  description = "Host of the database."
  value       = aws_db_instance.main.address
}

output "identifier" {
  description = "Name of the instance, as its metrics know it."
  value       = aws_db_instance.main.identifier
}

output "master_user_secret_arn" {
  description = "Secret with the master user's name and password, which RDS rotates."
  value       = aws_db_instance.main.master_user_secret[0].secret_arn
}
