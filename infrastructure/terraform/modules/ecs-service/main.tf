# One colour on ECS Fargate. Once it is made, its task definition and its size belong to the deployer. It may be a second service like
# one that exists: then it starts with the existing task definition, and nothing but the service itself is made here.

data "aws_region" "current" {}

moved {
  from = aws_ecs_task_definition.main
  to   = aws_ecs_task_definition.main[0]
}

moved {
  from = aws_security_group.main
  to   = aws_security_group.main[0]
}

moved {
  from = aws_vpc_security_group_ingress_rule.load_balancer
  to   = aws_vpc_security_group_ingress_rule.load_balancer[0]
}

moved {
  from = aws_appautoscaling_target.main
  to   = aws_appautoscaling_target.main[0]
}

moved {
  from = aws_appautoscaling_policy.main
  to   = aws_appautoscaling_policy.main[0]
}

locals {
  service_name = coalesce(var.name, "${var.environment}-telehealth-api-${var.color}")
  # Other capacity has no version of a platform: AWS refuses one there.
  fargate = length(var.capacity_provider_strategy) == 0 ? var.launch_type == "FARGATE" : alltrue([for one in var.capacity_provider_strategy : startswith(one.capacity_provider, "FARGATE")])
  # Existing security groups instead of one of its own, an existing task definition instead of one of its own.
  own_group      = length(var.security_group_ids) == 0 ? 1 : 0
  own_definition = var.task_definition_arn == null ? 1 : 0
  variables      = merge(var.variables, { DEPLOY_COLOR = var.color, OTEL_SERVICE_NAME = coalesce(var.name, "telehealth-api-${var.environment}-${var.color}"), PORT = tostring(var.port) })
}

# What it starts with, for ever: the definition below changes with the service's variables, never with an image. The deployer puts its
# image into the newest definition, so that what changed here comes along with the next deployment.
resource "terraform_data" "first_image" {
  input = var.image_identifier

  lifecycle {
    ignore_changes = [input]
  }
}

resource "aws_ecs_task_definition" "main" {
  count = local.own_definition

  family                   = local.service_name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = tostring(var.cpu)
  memory                   = tostring(var.memory)
  execution_role_arn       = var.execution_role_arn
  task_role_arn            = var.task_role_arn
  # The deployer registers further revisions, and rolls back to earlier ones.
  skip_destroy = true

  # The root is read-only; most runtimes want a place for temporary files.
  volume {
    name = "tmp"
  }

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "X86_64"
  }

  container_definitions = jsonencode([{
    name                   = var.container_name
    image                  = terraform_data.first_image.output
    essential              = true
    readonlyRootFilesystem = true
    mountPoints            = [{ sourceVolume = "tmp", containerPath = "/tmp", readOnly = false }]
    linuxParameters        = { initProcessEnabled = true }
    stopTimeout            = 60
    portMappings           = [{ containerPort = var.port, hostPort = var.port, protocol = "tcp" }]
    environment            = [for name in sort(keys(local.variables)) : { name = name, value = local.variables[name] }]
    secrets                = [for name in sort(keys(var.secrets)) : { name = name, valueFrom = var.secrets[name] }]

    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = var.log_group_name
        awslogs-region        = data.aws_region.current.region
        awslogs-stream-prefix = var.color
      }
    }
  }])

  tags = { Color = var.color }
}

resource "aws_security_group" "main" {
  count = local.own_group

  name        = "${local.service_name}-in"
  description = "Who reaches ${var.color}"
  vpc_id      = var.vpc_id

  tags = { Name = "${local.service_name}-in" }
}

resource "aws_vpc_security_group_ingress_rule" "load_balancer" {
  count = local.own_group

  security_group_id            = aws_security_group.main[0].id
  description                  = "The load balancer"
  referenced_security_group_id = var.load_balancer_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = var.port
  to_port                      = var.port
}

resource "aws_ecs_service" "main" {
  name             = local.service_name
  cluster          = var.cluster_arn
  task_definition  = coalesce(var.task_definition_arn, one(aws_ecs_task_definition.main[*].arn))
  launch_type      = length(var.capacity_provider_strategy) == 0 ? var.launch_type : null
  platform_version = local.fargate ? var.platform_version : null
  desired_count    = var.min_size

  availability_zone_rebalancing      = "ENABLED"
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = var.health_check_grace_period
  enable_ecs_managed_tags            = true
  propagate_tags                     = "SERVICE"
  enable_execute_command             = var.enable_execute_command

  deployment_controller {
    type = "ECS"
  }

  # A rollout that does not come up ends by itself; the deployer takes that for what it is, a failure.
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  dynamic "capacity_provider_strategy" {
    for_each = var.capacity_provider_strategy

    content {
      capacity_provider = capacity_provider_strategy.value.capacity_provider
      weight            = capacity_provider_strategy.value.weight
      base              = capacity_provider_strategy.value.base
    }
  }

  network_configuration {
    subnets          = var.private_subnet_ids
    security_groups  = local.own_group == 1 ? compact([var.service_security_group_id, one(aws_security_group.main[*].id)]) : var.security_group_ids
    assign_public_ip = var.assign_public_ip
  }

  load_balancer {
    target_group_arn = var.target_group_arn
    container_name   = var.container_name
    container_port   = var.port
  }

  tags = { Color = var.color }

  lifecycle {
    ignore_changes = [task_definition, desired_count]
  }
}

# Without a largest size the service does not scale by itself.
resource "aws_appautoscaling_target" "main" {
  count = var.max_size == null ? 0 : 1

  service_namespace  = "ecs"
  resource_id        = "service/${var.cluster_name}/${aws_ecs_service.main.name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = var.min_size
  max_capacity       = var.max_size

  # A colour that is retired runs nothing, and must not be brought back for it.
  lifecycle {
    ignore_changes = [min_capacity]
  }
}

resource "aws_appautoscaling_policy" "main" {
  count = var.max_size == null ? 0 : 1

  name               = "requests"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.main[0].service_namespace
  resource_id        = aws_appautoscaling_target.main[0].resource_id
  scalable_dimension = aws_appautoscaling_target.main[0].scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value       = 60
    scale_in_cooldown  = 300
    scale_out_cooldown = 60

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}
