output "arn" {
  description = "ARN of the web ACL."
  value       = aws_wafv2_web_acl.main.arn

  # Nothing is put behind an ACL whose log is not there yet.
  depends_on = [aws_wafv2_web_acl_logging_configuration.main]
}
