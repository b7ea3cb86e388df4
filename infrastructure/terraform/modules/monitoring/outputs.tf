output "topic_arn" {
  description = "Topic that is told of deployments and alarms."
  value       = aws_sns_topic.regional.arn
}

output "global_topic_arn" {
  description = "Topic in us-east-1 that is told of the live domain's health check."
  value       = aws_sns_topic.global.arn
}

output "alarm_names" {
  description = "The alarm of each colour that says whether it is well."
  value       = { for colour, alarm in aws_cloudwatch_composite_alarm.colour : colour => alarm.alarm_name }
}

output "dashboard_name" {
  description = "Name of the dashboard."
  value       = aws_cloudwatch_dashboard.main.dashboard_name
}
