# Each colour has its own alarms, so that what the candidate does is never taken for what users see. Metrics and dimensions are
# those that the platform publishes; a colour that is stopped publishes none, and that is no alarm.

locals {
  latency = {
    apprunner = { namespace = "AWS/AppRunner", metric = "RequestLatency", threshold = var.latency_alarm_ms }
    # In seconds.
    ecs = { namespace = "AWS/ApplicationELB", metric = "TargetResponseTime", threshold = var.latency_alarm_ms / 1000 }
  }[var.platform]

  errors = {
    apprunner = { namespace = "AWS/AppRunner", metric = "5xxStatusResponses" }
    ecs       = { namespace = "AWS/ApplicationELB", metric = "HTTPCode_Target_5XX_Count" }
  }[var.platform]

  instances = {
    apprunner = { namespace = "AWS/AppRunner", metric = "ActiveInstances" }
    ecs       = { namespace = "AWS/ApplicationELB", metric = "HealthyHostCount" }
  }[var.platform]
}

resource "aws_cloudwatch_metric_alarm" "latency" {
  for_each = var.colours

  alarm_name          = "${var.name}-${each.key}-latency"
  alarm_description   = "p95 of ${each.key}'s answers is above ${var.latency_alarm_ms} ms"
  namespace           = local.latency.namespace
  metric_name         = local.latency.metric
  dimensions          = each.value
  extended_statistic  = "p95"
  period              = 60
  evaluation_periods  = 2
  datapoints_to_alarm = 2
  comparison_operator = "GreaterThanThreshold"
  threshold           = local.latency.threshold
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.topic_arn]
  ok_actions          = [var.topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "errors" {
  for_each = var.colours

  alarm_name          = "${var.name}-${each.key}-errors"
  alarm_description   = "${each.key} answers with 500 and more"
  namespace           = local.errors.namespace
  metric_name         = local.errors.metric
  dimensions          = each.value
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = var.errors_alarm
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.topic_arn]
  ok_actions          = [var.topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "instances" {
  for_each = var.colours

  alarm_name          = "${var.name}-${each.key}-instances"
  alarm_description   = "Nothing healthy runs on ${each.key}"
  namespace           = local.instances.namespace
  metric_name         = local.instances.metric
  dimensions          = each.value
  statistic           = "Minimum"
  period              = 60
  evaluation_periods  = 2
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "notBreaching"
  # A colour that is retired has no healthy instance, and nobody is to be woken for that: the composite alarm tells of the rest.
  alarm_actions = []
}

# What the deployer asks before a switch and watches after it: one alarm a colour.
resource "aws_cloudwatch_composite_alarm" "colour" {
  for_each = var.colours

  alarm_name        = "${var.name}-${each.key}"
  alarm_description = "${each.key} is slow or fails"
  alarm_rule        = "ALARM(\"${aws_cloudwatch_metric_alarm.latency[each.key].alarm_name}\") OR ALARM(\"${aws_cloudwatch_metric_alarm.errors[each.key].alarm_name}\")"
}
