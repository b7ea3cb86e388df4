# The rule that holds the weights, before the rule or the default action that has sent the live traffic so far: with the same conditions
# and transforms, and everything on the colour that is live. Creating it changes no request; without it everything goes to the first
# colour again.

data "aws_lb_listener_rule" "like" {
  count = var.like_arn == null ? 0 : 1

  arn = var.like_arn
}

data "aws_lb_target_group" "main" {
  for_each = var.target_group_arns

  arn = each.value
}

locals {
  # AWS refuses two target groups in a rule without stickiness if one of them has stickiness of its own.
  sticky     = anytrue(flatten([for one in values(data.aws_lb_target_group.main) : one.stickiness[*].enabled]))
  conditions = flatten(data.aws_lb_listener_rule.like[*].condition)
  transforms = flatten(data.aws_lb_listener_rule.like[*].transform)
}

resource "aws_lb_listener_rule" "main" {
  listener_arn = var.listener_arn
  priority     = var.priority

  dynamic "condition" {
    for_each = local.conditions

    content {
      dynamic "host_header" {
        for_each = condition.value.host_header

        content {
          values       = try(length(host_header.value.values), 0) > 0 ? host_header.value.values : null
          regex_values = try(length(host_header.value.regex_values), 0) > 0 ? host_header.value.regex_values : null
        }
      }

      dynamic "path_pattern" {
        for_each = condition.value.path_pattern

        content {
          values       = try(length(path_pattern.value.values), 0) > 0 ? path_pattern.value.values : null
          regex_values = try(length(path_pattern.value.regex_values), 0) > 0 ? path_pattern.value.regex_values : null
        }
      }

      dynamic "http_header" {
        for_each = condition.value.http_header

        content {
          http_header_name = http_header.value.http_header_name
          values           = try(length(http_header.value.values), 0) > 0 ? http_header.value.values : null
          regex_values     = try(length(http_header.value.regex_values), 0) > 0 ? http_header.value.regex_values : null
        }
      }

      dynamic "http_request_method" {
        for_each = condition.value.http_request_method

        content {
          values = http_request_method.value.values
        }
      }

      dynamic "query_string" {
        for_each = flatten([for one in condition.value.query_string : tolist(one.values)])

        content {
          key   = query_string.value.key
          value = query_string.value.value
        }
      }

      dynamic "source_ip" {
        for_each = condition.value.source_ip

        content {
          values = source_ip.value.values
        }
      }
    }
  }

  # A rule needs a condition; in the place of a default action this one holds for every request.
  dynamic "condition" {
    for_each = length(local.conditions) == 0 ? ["*"] : []

    content {
      path_pattern {
        values = [condition.value]
      }
    }
  }

  dynamic "transform" {
    for_each = local.transforms

    content {
      type = transform.value.type

      dynamic "host_header_rewrite_config" {
        for_each = transform.value.host_header_rewrite_config

        content {
          dynamic "rewrite" {
            for_each = host_header_rewrite_config.value.rewrite

            content {
              regex   = rewrite.value.regex
              replace = rewrite.value.replace
            }
          }
        }
      }

      dynamic "url_rewrite_config" {
        for_each = transform.value.url_rewrite_config

        content {
          dynamic "rewrite" {
            for_each = url_rewrite_config.value.rewrite

            content {
              regex   = rewrite.value.regex
              replace = rewrite.value.replace
            }
          }
        }
      }
    }
  }

  action {
    type = "forward"

    forward {
      dynamic "target_group" {
        for_each = var.target_group_arns

        content {
          arn    = target_group.value
          weight = target_group.key == var.first_color ? 100 : 0
        }
      }

      stickiness {
        enabled  = local.sticky
        duration = local.sticky ? 3600 : 60
      }
    }
  }

  # The weights, and the tags by which the deployer says whose they are.
  lifecycle {
    ignore_changes = [action, tags, tags_all]
  }
}
