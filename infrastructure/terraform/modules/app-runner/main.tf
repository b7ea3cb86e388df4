# One colour on App Runner. Once it is made, its image belongs to the deployer.

resource "aws_apprunner_service" "main" {
  service_name                   = "${var.environment}-telehealth-api-${var.color}"
  auto_scaling_configuration_arn = var.auto_scaling_configuration_arn

  source_configuration {
    # Left out, it means true for ECR: then a push, not a deployment, would decide what runs.
    auto_deployments_enabled = false

    authentication_configuration {
      access_role_arn = var.access_role_arn
    }

    image_repository {
      image_identifier      = var.image_identifier
      image_repository_type = "ECR"

      image_configuration {
        port                          = tostring(var.port)
        runtime_environment_variables = merge(var.variables, { DEPLOY_COLOR = var.color, OTEL_SERVICE_NAME = "telehealth-api-${var.environment}-${var.color}" })
        runtime_environment_secrets   = var.secrets
      }
    }
  }

  instance_configuration {
    cpu               = tostring(var.cpu)
    memory            = tostring(var.memory)
    instance_role_arn = var.instance_role_arn
  }

  # TCP, which is what App Runner does by itself, is content as soon as the port listens.
  health_check_configuration {
    protocol            = "HTTP"
    path                = var.health_path
    interval            = 5
    timeout             = 2
    healthy_threshold   = 2
    unhealthy_threshold = 5
  }

  network_configuration {
    egress_configuration {
      egress_type       = "VPC"
      vpc_connector_arn = var.vpc_connector_arn
    }
  }

  observability_configuration {
    observability_enabled           = true
    observability_configuration_arn = var.observability_configuration_arn
  }

  encryption_configuration {
    kms_key = var.kms_key_arn
  }

  tags = {
    Environment = var.environment
    Color       = var.color
    Service     = "telehealth-api"
  }

  lifecycle {
    ignore_changes = [source_configuration[0].image_repository[0].image_identifier]
  }
}

resource "aws_wafv2_web_acl_association" "main" {
  resource_arn = aws_apprunner_service.main.arn
  web_acl_arn  = var.web_acl_arn
}
