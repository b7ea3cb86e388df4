output "alarm_names" {
  description = "The alarm of each colour that says whether it is well."
  value       = { for colour, alarm in aws_cloudwatch_composite_alarm.colour : colour => alarm.alarm_name }
}

output "dashboard_name" {
  description = "Name of the dashboard."
  value       = aws_cloudwatch_dashboard.main.dashboard_name
}
