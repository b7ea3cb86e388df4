output "alarm_names" {
  description = "The alarms that say whether the colours are well, one a colour."
  value       = [for alarm in aws_cloudwatch_composite_alarm.colour : alarm.alarm_name]
}

output "dashboard_name" {
  description = "Name of the dashboard."
  value       = aws_cloudwatch_dashboard.main.dashboard_name
}
