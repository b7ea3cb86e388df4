# A listener on a port of its own that sends everything to one colour, for those who verify it before it gets traffic. It is reached by
# the live domain with this port, so it needs no record and no certificate of its own.

resource "aws_lb_listener" "main" {
  load_balancer_arn = var.load_balancer_arn
  port              = var.port
  protocol          = var.certificate_arn == null ? "HTTP" : "HTTPS"
  ssl_policy        = var.certificate_arn == null ? null : var.ssl_policy
  certificate_arn   = var.certificate_arn

  default_action {
    type             = "forward"
    target_group_arn = var.target_group_arn
  }

  tags = { Color = var.color }
}

# The live listener chooses its certificate by the domain, and so does this one.
resource "aws_lb_listener_certificate" "more" {
  count = length(var.more_certificate_arns)

  listener_arn    = aws_lb_listener.main.arn
  certificate_arn = var.more_certificate_arns[count.index]
}

resource "aws_vpc_security_group_ingress_rule" "verifiers" {
  count = length(var.verifier_cidrs)

  security_group_id = var.load_balancer_security_group_id
  description       = "Those who verify ${var.color}"
  cidr_ipv4         = var.verifier_cidrs[count.index]
  ip_protocol       = "tcp"
  from_port         = var.port
  to_port           = var.port
}
