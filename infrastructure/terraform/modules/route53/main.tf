# Names: the live domain, the colours' own hosts, and what is asked about them from outside. The certificate's proofs are with the
# certificate. Where Route 53 is the router, the live domain has a record a colour, whose weights are the deployer's affair.

locals {
  weighted = { for colour, target in var.live_targets : colour => target if length(var.live_targets) > 1 }
  single   = { for colour, target in var.live_targets : colour => target if length(var.live_targets) == 1 }
}

resource "aws_route53_record" "live" {
  for_each = local.single

  zone_id = var.zone_id
  name    = var.domain_name
  type    = "A"

  alias {
    name                   = each.value.name
    zone_id                = each.value.zone_id
    evaluate_target_health = false
  }
}

# AAAA for CloudFront alone: the load balancers have IPv4 addresses.
resource "aws_route53_record" "live_v6" {
  for_each = var.ipv6 ? local.single : {}

  zone_id = var.zone_id
  name    = var.domain_name
  type    = "AAAA"

  alias {
    name                   = each.value.name
    zone_id                = each.value.zone_id
    evaluate_target_health = false
  }
}

resource "aws_route53_record" "weighted" {
  for_each = local.weighted

  zone_id        = var.zone_id
  name           = var.domain_name
  type           = "A"
  set_identifier = each.key

  weighted_routing_policy {
    weight = each.key == "blue" ? 100 : 0
  }

  # Off: Route 53 would send users to the other colour by itself, past every gate.
  alias {
    name                   = each.value.name
    zone_id                = each.value.zone_id
    evaluate_target_health = false
  }

  lifecycle {
    ignore_changes = [weighted_routing_policy]
  }
}

# The colours' own hosts, on the test listener.
resource "aws_route53_record" "colour" {
  for_each = var.colour_targets

  zone_id = var.zone_id
  name    = each.value.host
  type    = "A"

  alias {
    name                   = each.value.name
    zone_id                = each.value.zone_id
    evaluate_target_health = false
  }
}

# Asked from outside, every ten seconds: what users would see.
resource "aws_route53_health_check" "live" {
  fqdn              = var.domain_name
  type              = "HTTPS"
  port              = 443
  resource_path     = var.health_path
  request_interval  = 10
  failure_threshold = 3
  measure_latency   = true
  enable_sni        = true

  tags = { Name = "${var.name}-live" }
}

# In us-east-1, where the metric is. It is 1 while the check is healthy, and 0 otherwise.
resource "aws_cloudwatch_metric_alarm" "live" {

  alarm_name          = "${var.name}-live-domain"
  alarm_description   = "The live domain does not answer ${var.health_path} with a status below 400, seen from outside"
  namespace           = "AWS/Route53"
  metric_name         = "HealthCheckStatus"
  dimensions          = { HealthCheckId = aws_route53_health_check.live.id }
  statistic           = "Minimum"
  period              = 60
  evaluation_periods  = 2
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "breaching"
  alarm_actions       = [var.topic_arn]
  ok_actions          = [var.topic_arn]
}
