output "arn" {
  description = "Rule that holds the weights."
  value       = aws_lb_listener_rule.main.arn
}
