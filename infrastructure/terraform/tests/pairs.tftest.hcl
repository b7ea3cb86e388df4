# Pairs of platform and router that cannot work are refused while planning; which colour is live is nothing that could be told.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_availability_zones" {
    defaults = { names = ["us-east-1a", "us-east-1b", "us-east-1c"] }
  }

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

mock_provider "aws" {
  alias = "global"
}

mock_provider "random" {}

run "app_runner_with_route53" {
  command = plan

  variables {
    platform = "apprunner"
    router   = "route53"
  }

  expect_failures = [terraform_data.pair]
}

run "app_runner_with_a_load_balancer" {
  command = plan

  variables {
    platform = "apprunner"
    router   = "alb"
  }

  expect_failures = [terraform_data.pair]
}

run "ecs_with_cloudfront" {
  command = plan

  variables {
    platform = "ecs"
    router   = "cloudfront"
  }

  expect_failures = [terraform_data.pair]
}

run "china" {
  command = plan

  variables {
    aws_region = "cn-northwest-1"
  }

  expect_failures = [var.aws_region]
}

run "govcloud" {
  command = plan

  variables {
    aws_region = "us-gov-west-1"
  }

  expect_failures = [var.aws_region]
}

run "an_image_by_tag" {
  command = plan

  variables {
    image_blue = "123456789012.dkr.ecr.us-east-1.amazonaws.com/telehealth-api:latest"
  }

  expect_failures = [var.image_blue]
}

run "verifiers_that_are_everybody" {
  command = plan

  variables {
    verifier_cidrs = ["0.0.0.0/0"]
  }

  expect_failures = [var.verifier_cidrs]
}

run "a_trial_called_production" {
  command = plan

  variables {
    trial = true
  }

  expect_failures = [var.trial]
}

run "smoke_users_are_not_the_services" {
  command = plan

  assert {
    condition     = !contains(keys(local.secrets), "SEED_USERS")
    error_message = "the service gets the passwords of the smoke users without being asked to make them"
  }
}

run "smoke_users_are_made_by_the_service" {
  command = plan

  variables {
    seed_smoke_users = true
  }

  assert {
    condition     = contains(keys(local.secrets), "SEED_USERS")
    error_message = "the service is to make the smoke users, and does not get them"
  }
}
