# Two colours differ in nothing but colour and digest; both are made by the same module from the same values.

mock_provider "aws" {}

variables {
  environment                     = "production"
  port                            = 3000
  health_path                     = "/health"
  variables                       = { NODE_ENV = "production", REDIS_HOST = "redis.internal" }
  secrets                         = { DATABASE_URL = "arn:aws:secretsmanager:us-east-1:123456789012:secret:production/telehealth/database-url" }
  cpu                             = 1024
  memory                          = 2048
  min_size                        = 2
  max_size                        = 10
  access_role_arn                 = "arn:aws:iam::123456789012:role/access"
  instance_role_arn               = "arn:aws:iam::123456789012:role/instance"
  vpc_connector_arn               = "arn:aws:apprunner:us-east-1:123456789012:vpcconnector/x"
  auto_scaling_configuration_arn  = "arn:aws:apprunner:us-east-1:123456789012:autoscalingconfiguration/x"
  observability_configuration_arn = "arn:aws:apprunner:us-east-1:123456789012:observabilityconfiguration/x"
  web_acl_arn                     = "arn:aws:wafv2:us-east-1:123456789012:regional/webacl/x"
  kms_key_arn                     = "arn:aws:kms:us-east-1:123456789012:key/x"
  cluster_arn                     = "arn:aws:ecs:us-east-1:123456789012:cluster/production-telehealth"
  cluster_name                    = "production-telehealth"
  execution_role_arn              = "arn:aws:iam::123456789012:role/execution"
  task_role_arn                   = "arn:aws:iam::123456789012:role/task"
  log_group_name                  = "/ecs/production-telehealth"
  vpc_id                          = "vpc-1"
  private_subnet_ids              = ["subnet-1", "subnet-2"]
  service_security_group_id       = "sg-1"
  load_balancer_security_group_id = "sg-2"
  target_group_arn                = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/x/1"
}

run "green_on_app_runner" {
  command = plan

  module {
    source = "./modules/app-runner"
  }

  variables {
    color            = "green"
    image_identifier = "123456789012.dkr.ecr.us-east-1.amazonaws.com/telehealth-api@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  }

  assert {
    condition     = aws_apprunner_service.main.service_name == "production-telehealth-api-green" && aws_apprunner_service.main.tags["Color"] == "green"
    error_message = "the service is not green's"
  }

  assert {
    condition     = tomap({ for name, value in aws_apprunner_service.main.source_configuration[0].image_repository[0].image_configuration[0].runtime_environment_variables : name => value if !contains(["DEPLOY_COLOR", "OTEL_SERVICE_NAME"], name) }) == tomap(var.variables)
    error_message = "green is told something that blue is not told"
  }

  assert {
    condition     = aws_apprunner_service.main.source_configuration[0].image_repository[0].image_configuration[0].runtime_environment_variables["DEPLOY_COLOR"] == "green"
    error_message = "green does not know that it is green"
  }

  assert {
    condition     = aws_apprunner_service.main.source_configuration[0].auto_deployments_enabled == false
    error_message = "a push would decide what runs"
  }

  assert {
    condition     = aws_apprunner_service.main.health_check_configuration[0].protocol == "HTTP"
    error_message = "a port that listens would pass for a service that is well"
  }
}

run "green_on_ecs" {
  command = plan

  module {
    source = "./modules/ecs-service"
  }

  variables {
    color            = "green"
    image_identifier = "123456789012.dkr.ecr.us-east-1.amazonaws.com/telehealth-api@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  }

  assert {
    condition     = aws_ecs_service.main.name == "production-telehealth-api-green"
    error_message = "the service is not green's"
  }

  assert {
    condition     = aws_ecs_service.main.network_configuration[0].assign_public_ip == false
    error_message = "a task has a public address"
  }

  assert {
    condition     = aws_ecs_service.main.deployment_circuit_breaker[0].enable && aws_ecs_service.main.deployment_circuit_breaker[0].rollback
    error_message = "a rollout that does not come up would not end"
  }

  assert {
    condition     = aws_appautoscaling_target.main[0].min_capacity == 2
    error_message = "a colour could be scaled below what it needs for all traffic"
  }
}

run "second_service_like_one_that_exists" {
  command = plan

  module {
    source = "./modules/ecs-service"
  }

  variables {
    name                       = "bakery-green"
    color                      = "green"
    task_definition_arn        = "arn:aws:ecs:us-east-1:123456789012:task-definition/bakery:17"
    security_group_ids         = ["sg-1"]
    capacity_provider_strategy = [{ capacity_provider = "FARGATE_SPOT", weight = 1, base = 0 }]
    max_size                   = null
  }

  assert {
    condition     = aws_ecs_service.main.name == "bakery-green" && endswith(aws_ecs_service.main.task_definition, "bakery:17")
    error_message = "the service does not start with the existing task definition"
  }

  assert {
    condition     = length(aws_ecs_task_definition.main) + length(aws_security_group.main) + length(aws_appautoscaling_target.main) == 0
    error_message = "something besides the service is made"
  }

  assert {
    condition     = length(aws_ecs_service.main.capacity_provider_strategy) == 1
    error_message = "the tasks would run on other capacity than the first service's"
  }

  assert {
    condition     = aws_ecs_service.main.platform_version == "LATEST"
    error_message = "the version of Fargate's platform is lost"
  }
}

run "second_service_on_machines_of_ones_own" {
  command = apply # a plan does not know a version that is not set

  module {
    source = "./modules/ecs-service"
  }

  variables {
    name                       = "bakery-green"
    color                      = "green"
    task_definition_arn        = "arn:aws:ecs:us-east-1:123456789012:task-definition/bakery:17"
    security_group_ids         = ["sg-1"]
    capacity_provider_strategy = [{ capacity_provider = "bakery-machines", weight = 1, base = 0 }]
    max_size                   = null
  }

  assert {
    condition     = aws_ecs_service.main.platform_version != "LATEST"
    error_message = "AWS refuses a version of Fargate's platform for other capacity"
  }
}

run "another_colour" {
  command = plan

  module {
    source = "./modules/app-runner"
  }

  variables {
    color            = "red"
    image_identifier = "x"
  }

  expect_failures = [var.color]
}
