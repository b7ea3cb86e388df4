output "arn" {
  description = "ARN of the target group."
  value       = aws_lb_target_group.main.arn
}

output "arn_suffix" {
  description = "The target group as its metrics know it."
  value       = aws_lb_target_group.main.arn_suffix
}
