# Alarms that can fire: metric, namespace, dimensions and unit are those that AWS publishes, and no threshold lies beyond them.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  name             = "production-telehealth"
  region           = "us-east-1"
  latency_alarm_ms = 1000
  errors_alarm     = 5
  topic_arn        = "arn:aws:sns:us-east-1:123456789012:x"
}

run "app_runner" {
  command = plan

  module {
    source = "./modules/monitoring"
  }


  variables {
    platform = "apprunner"
    colours = {
      blue  = { ServiceName = "production-telehealth-api-blue", ServiceID = "1" }
      green = { ServiceName = "production-telehealth-api-green", ServiceID = "2" }
    }
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.latency : alarm.namespace == "AWS/AppRunner" && alarm.metric_name == "RequestLatency" && alarm.extended_statistic == "p95"])
    error_message = "App Runner publishes no such latency"
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.latency : alarm.threshold == 1000])
    error_message = "App Runner's latency is in milliseconds"
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.errors : alarm.metric_name == "5xxStatusResponses" && alarm.statistic == "Sum" && alarm.threshold >= 1])
    error_message = "App Runner publishes no such errors"
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.instances : alarm.metric_name == "ActiveInstances" && alarm.threshold == 1 && alarm.comparison_operator == "LessThanThreshold"])
    error_message = "App Runner publishes no such instances"
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.errors["green"].dimensions == tomap({ ServiceName = "production-telehealth-api-green", ServiceID = "2" })
    error_message = "green's alarm watches somebody else"
  }

  assert {
    condition     = strcontains(aws_cloudwatch_composite_alarm.colour["blue"].alarm_rule, "ALARM(\"production-telehealth-blue-latency\") OR ALARM(\"production-telehealth-blue-errors\")")
    error_message = "blue's alarm does not follow its own"
  }
}

run "ecs" {
  command = plan

  module {
    source = "./modules/monitoring"
  }


  variables {
    platform = "ecs"
    colours = {
      blue  = { LoadBalancer = "app/x/1", TargetGroup = "targetgroup/blue/1" }
      green = { LoadBalancer = "app/x/1", TargetGroup = "targetgroup/green/2" }
    }
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.latency : alarm.namespace == "AWS/ApplicationELB" && alarm.metric_name == "TargetResponseTime" && alarm.threshold == 1])
    error_message = "a load balancer's latency is TargetResponseTime, in seconds"
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.errors : alarm.metric_name == "HTTPCode_Target_5XX_Count" && alarm.statistic == "Sum"])
    error_message = "a load balancer publishes no such errors"
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.instances : alarm.metric_name == "HealthyHostCount"])
    error_message = "a load balancer publishes no such instances"
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.errors : alarm.alarm_actions == toset([var.topic_arn])])
    error_message = "nobody is told"
  }
}

run "topic" {
  command = plan

  module {
    source = "./modules/topic"
  }

  variables {
    name                = "production-telehealth-deployments"
    account             = "123456789012"
    notification_emails = ["team@example.com"]
    kms_key_arn         = "arn:aws:kms:us-east-1:123456789012:key/x"
  }

  assert {
    condition     = length(aws_sns_topic_subscription.main) == 1 && aws_sns_topic.main.kms_master_key_id == "arn:aws:kms:us-east-1:123456789012:key/x"
    error_message = "the team is not told, or not told in secret"
  }
}

run "health_check" {
  command = plan

  module {
    source = "./modules/route53"
  }


  variables {
    zone_id        = "Z1"
    domain_name    = "api.telehealth.com"
    live_targets   = { main = { name = "d1.cloudfront.net", zone_id = "Z2" } }
    ipv6           = true
    colour_targets = {}
    health_path    = "/health"
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.live.namespace == "AWS/Route53" && aws_cloudwatch_metric_alarm.live.metric_name == "HealthCheckStatus"
    error_message = "Route 53 publishes no such metric"
  }

  # The metric is 0 or 1: below 0 it never is.
  assert {
    condition     = aws_cloudwatch_metric_alarm.live.threshold == 1 && aws_cloudwatch_metric_alarm.live.comparison_operator == "LessThanThreshold" && aws_cloudwatch_metric_alarm.live.statistic == "Minimum"
    error_message = "the alarm can never fire"
  }

  assert {
    condition     = keys(aws_cloudwatch_metric_alarm.live.dimensions) == tolist(["HealthCheckId"])
    error_message = "the alarm watches no health check"
  }
}
