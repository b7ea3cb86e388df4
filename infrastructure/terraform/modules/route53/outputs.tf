output "health_check_id" {
  description = "ID of the live domain's health check."
  value       = aws_route53_health_check.live.id
}

output "alarm_name" {
  description = "Alarm on that health check, in us-east-1."
  value       = aws_cloudwatch_metric_alarm.live.alarm_name
}

output "set_identifiers" {
  description = "Identifier of each colour's weighted record; empty where the router is another."
  value       = { for colour, record in aws_route53_record.weighted : colour => record.set_identifier }
}
