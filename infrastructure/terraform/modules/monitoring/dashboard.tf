locals {
  rows = [
    { title = "Answers of 500 and more", namespace = local.errors.namespace, metric = local.errors.metric, stat = "Sum" },
    { title = "p95", namespace = local.latency.namespace, metric = local.latency.metric, stat = "p95" },
    { title = "Healthy instances", namespace = local.instances.namespace, metric = local.instances.metric, stat = "Minimum" },
  ]
}

resource "aws_cloudwatch_dashboard" "main" {
  dashboard_name = var.name

  dashboard_body = jsonencode({
    widgets = concat(
      [for index, row in local.rows : {
        type   = "metric"
        x      = 8 * index
        y      = 0
        width  = 8
        height = 6
        properties = {
          title  = row.title
          region = var.region
          stat   = row.stat
          period = 60
          metrics = [for colour, dimensions in var.colours : concat(
            [row.namespace, row.metric],
            flatten([for name in sort(keys(dimensions)) : [name, dimensions[name]]]),
            [{ label = colour }],
          )]
        }
      }],
      [{
        type   = "alarm"
        x      = 0
        y      = 6
        width  = 24
        height = 3
        properties = {
          title  = "Alarms"
          alarms = concat([for alarm in aws_cloudwatch_composite_alarm.colour : alarm.arn], [for alarm in aws_cloudwatch_metric_alarm.instances : alarm.arn])
        }
      }],
    )
  })
}
