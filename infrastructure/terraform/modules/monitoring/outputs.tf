output "alarm_names" {
  description = "The alarms that say whether the colours are well, one a colour; the deployer puts the colour in its place."
  value       = ["${var.name}-{colour}"]
  depends_on  = [aws_cloudwatch_composite_alarm.colour]
}

output "dashboard_name" {
  description = "Name of the dashboard."
  value       = aws_cloudwatch_dashboard.main.dashboard_name
}
