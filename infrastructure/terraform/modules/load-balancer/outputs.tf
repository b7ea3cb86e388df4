output "dns_name" {
  description = "The load balancer's own host."
  value       = aws_lb.main.dns_name
}

output "zone_id" {
  description = "Hosted zone of that host, for alias records."
  value       = aws_lb.main.zone_id
}

output "arn_suffix" {
  description = "The load balancer as its metrics know it."
  value       = aws_lb.main.arn_suffix
}

output "security_group_id" {
  description = "Security group of the load balancer."
  value       = aws_security_group.main.id
}

output "listener_rule_arn" {
  description = "Rule of the live listener that holds the weights."
  value       = aws_lb_listener_rule.live.arn
}

output "live_listener_arn" {
  description = "The live listener."
  value       = aws_lb_listener.live.arn
}

# A service can only be put behind a group that hangs on a listener, so the groups are handed on once their rules are there.
output "target_group_arns" {
  description = "Target group of each colour."
  value       = { for colour, group in aws_lb_target_group.main : colour => group.arn }

  depends_on = [aws_lb_listener_rule.live, aws_lb_listener_rule.test, aws_lb_listener_rule.rehearsal]
}

output "target_group_arn_suffixes" {
  description = "Target group of each colour as its metrics know it."
  value       = { for colour, group in aws_lb_target_group.main : colour => group.arn_suffix }
}
