output "lease_table" {
  description = "Name of the lock's table."
  value       = aws_dynamodb_table.lease.name
}

output "lease_table_arn" {
  description = "ARN of the lock's table."
  value       = aws_dynamodb_table.lease.arn
}

output "audit_bucket" {
  description = "Bucket of the evidence."
  value       = aws_s3_bucket.audit.bucket
}

output "audit_bucket_arn" {
  description = "ARN of that bucket."
  value       = aws_s3_bucket.audit.arn
}

# Whoever writes here may do so by the bucket's policy and its ownership rule, so they come first.
output "access_log_bucket" {
  description = "Bucket of the access logs."
  value       = aws_s3_bucket.access_logs.bucket

  depends_on = [aws_s3_bucket_policy.main, aws_s3_bucket_ownership_controls.access_logs]
}

output "access_log_bucket_domain_name" {
  description = "The same bucket by its domain name."
  value       = aws_s3_bucket.access_logs.bucket_domain_name

  depends_on = [aws_s3_bucket_policy.main, aws_s3_bucket_ownership_controls.access_logs]
}
