output "target_group_arn" {
  description = "The target group, once it hangs on the load balancer: a service can only be put behind such a group."
  value       = var.target_group_arn

  depends_on = [aws_lb_listener.main]
}

output "listener_arn" {
  description = "The listener."
  value       = aws_lb_listener.main.arn
}
