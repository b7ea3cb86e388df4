output "domain_name" {
  description = "The distribution's own host."
  value       = aws_cloudfront_distribution.main.domain_name
}

output "hosted_zone_id" {
  description = "Hosted zone of that host, for alias records."
  value       = aws_cloudfront_distribution.main.hosted_zone_id
}

output "distribution_id" {
  description = "ID of the distribution, as its metrics know it."
  value       = aws_cloudfront_distribution.main.id
}

output "key_value_store_arn" {
  description = "ARN of the store that says where traffic goes."
  value       = aws_cloudfront_key_value_store.main.arn
}
