# The group of whatever runs the service; the groups of database and Redis name it.

resource "aws_security_group" "service" {
  name        = "${var.name}-service"
  description = "Tasks or connector of the service"
  vpc_id      = aws_vpc.main.id

  tags = { Name = "${var.name}-service" }
}

resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.service.id
  description       = "AWS APIs without an endpoint here, Cognito among them"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "data" {
  for_each = { database = var.database_port, redis = var.redis_port }

  security_group_id = aws_security_group.service.id
  description       = "To the ${each.key} of the service"
  cidr_ipv4         = var.vpc_cidr
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
}
