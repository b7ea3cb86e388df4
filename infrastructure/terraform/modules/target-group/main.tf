# A target group like one that exists, for a service's other colour. Every value is read from the existing group, so the two cannot
# differ.

data "aws_lb_target_group" "like" {
  arn = var.like_arn
}

resource "aws_lb_target_group" "main" {
  name                          = var.name
  vpc_id                        = data.aws_lb_target_group.like.vpc_id
  target_type                   = data.aws_lb_target_group.like.target_type
  port                          = data.aws_lb_target_group.like.port
  protocol                      = data.aws_lb_target_group.like.protocol
  protocol_version              = data.aws_lb_target_group.like.protocol_version
  deregistration_delay          = data.aws_lb_target_group.like.deregistration_delay
  slow_start                    = data.aws_lb_target_group.like.slow_start
  load_balancing_algorithm_type = data.aws_lb_target_group.like.load_balancing_algorithm_type

  dynamic "health_check" {
    for_each = data.aws_lb_target_group.like.health_check

    content {
      enabled             = health_check.value.enabled
      protocol            = health_check.value.protocol
      port                = health_check.value.port
      path                = health_check.value.path
      matcher             = health_check.value.matcher
      interval            = health_check.value.interval
      timeout             = health_check.value.timeout
      healthy_threshold   = health_check.value.healthy_threshold
      unhealthy_threshold = health_check.value.unhealthy_threshold
    }
  }

  dynamic "stickiness" {
    for_each = [for one in data.aws_lb_target_group.like.stickiness : one if one.enabled]

    content {
      enabled         = true
      type            = stickiness.value.type
      cookie_duration = stickiness.value.cookie_duration
      cookie_name     = stickiness.value.type == "app_cookie" ? stickiness.value.cookie_name : null
    }
  }

  tags = { Color = var.color }
}
