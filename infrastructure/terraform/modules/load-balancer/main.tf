# A load balancer in front of one colour or of both: the live listener for everybody, the test listener, on which each colour has
# a host of its own, for those who verify. Which weights the live rule has is the deployer's affair.

resource "aws_security_group" "main" {
  name        = "${var.name}-alb"
  description = "The live listener, and the test listener"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-alb" }
}

resource "aws_vpc_security_group_ingress_rule" "live" {
  security_group_id = aws_security_group.main.id
  description       = "Everybody, over TLS"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_ingress_rule" "redirect" {
  security_group_id = aws_security_group.main.id
  description       = "Everybody, to be redirected to TLS"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 80
  to_port           = 80
}

resource "aws_vpc_security_group_ingress_rule" "test" {
  count = length(var.verifier_cidrs)

  security_group_id = aws_security_group.main.id
  description       = "Those who verify"
  cidr_ipv4         = var.verifier_cidrs[count.index]
  ip_protocol       = "tcp"
  from_port         = var.test_port
  to_port           = var.test_port
}

resource "aws_vpc_security_group_egress_rule" "tasks" {
  security_group_id = aws_security_group.main.id
  description       = "Tasks of the service"
  cidr_ipv4         = var.vpc_cidr
  ip_protocol       = "tcp"
  from_port         = var.port
  to_port           = var.port
}

resource "aws_lb" "main" {
  name               = var.name
  load_balancer_type = "application"
  internal           = false
  subnets            = var.public_subnet_ids
  security_groups    = [aws_security_group.main.id]

  enable_deletion_protection = var.deletion_protection
  drop_invalid_header_fields = true
  desync_mitigation_mode     = "strictest"
  idle_timeout               = 60
  # Longer than any answer takes, far shorter than AWS's hour: a kept connection pins its client to nothing.
  client_keep_alive = 300

  access_logs {
    bucket  = var.access_log_bucket
    prefix  = var.name
    enabled = true
  }
}

resource "aws_lb_target_group" "main" {
  for_each = toset(var.colours)

  name                 = "${substr(var.environment, 0, 22)}-api-${each.key}"
  vpc_id               = var.vpc_id
  target_type          = "ip"
  port                 = var.port
  protocol             = "HTTP"
  deregistration_delay = 120

  health_check {
    path                = var.health_path
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }

  tags = { Color = each.key }
}

resource "aws_lb_listener" "live" {
  load_balancer_arn = aws_lb.main.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.certificate_arn

  default_action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      message_body = "no such host"
      status_code  = "404"
    }
  }
}

# Who types the domain without https:// is sent there; nothing is served without TLS.
resource "aws_lb_listener" "redirect" {
  load_balancer_arn = aws_lb.main.arn
  port              = 80
  protocol          = "HTTP"

  default_action {
    type = "redirect"

    redirect {
      protocol    = "HTTPS"
      port        = "443"
      status_code = "HTTP_301"
    }
  }
}

resource "aws_lb_listener_rule" "live" {
  listener_arn = aws_lb_listener.live.arn
  priority     = 100

  condition {
    host_header {
      values = [var.domain_name]
    }
  }

  # Also where there is one colour alone: then it has all of it.
  action {
    type = "forward"

    forward {
      dynamic "target_group" {
        for_each = var.colours

        content {
          arn    = aws_lb_target_group.main[target_group.value].arn
          weight = target_group.key == 0 ? 100 : 0
        }
      }

      stickiness {
        enabled  = false
        duration = 60
      }
    }
  }

  # The weights, and the tags by which the deployer says whose they are.
  lifecycle {
    ignore_changes = [action, tags, tags_all]
  }
}

resource "aws_lb_listener" "test" {
  load_balancer_arn = aws_lb.main.arn
  port              = var.test_port
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.certificate_arn

  default_action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      message_body = "no such colour"
      status_code  = "404"
    }
  }
}

resource "aws_lb_listener_rule" "test" {
  for_each = toset(var.colours)

  listener_arn = aws_lb_listener.test.arn
  priority     = 100 + index(var.colours, each.key)

  condition {
    host_header {
      values = [var.colour_hosts[each.key]]
    }
  }

  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.main[each.key].arn
  }

  tags = { Color = each.key }
}

# The switch, rehearsed: a colour is asked as the live listener will ask it, with the live domain as its Host.
resource "aws_lb_listener_rule" "rehearsal" {
  for_each = toset(var.colours)

  listener_arn = aws_lb_listener.test.arn
  priority     = 200 + index(var.colours, each.key)

  condition {
    host_header {
      values = [var.rehearsal_hosts[each.key]]
    }
  }

  transform {
    type = "host-header-rewrite"

    host_header_rewrite_config {
      rewrite {
        regex   = "^.+$"
        replace = var.domain_name
      }
    }
  }

  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.main[each.key].arn
  }

  tags = { Color = each.key }
}

resource "aws_wafv2_web_acl_association" "main" {
  resource_arn = aws_lb.main.arn
  web_acl_arn  = var.web_acl_arn
}
