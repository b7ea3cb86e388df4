data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_route53_zone" "main" {
  name         = local.hosted_zone_name
  private_zone = false
}

locals {
  name    = "${var.environment}-telehealth"
  colours = ["blue", "green"]
  account = data.aws_caller_identity.current.account_id
  # aws, aws-cn or aws-us-gov, which begins every ARN.
  partition = data.aws_partition.current.partition
  router    = coalesce(var.router, var.platform == "apprunner" ? "cloudfront" : "alb")

  deletion_protection = var.trial ? false : var.deletion_protection # checkov evaluates no "!"

  apprunner = var.platform == "apprunner"
  ecs       = var.platform == "ecs"

  hosted_zone_name = coalesce(var.hosted_zone_name, join(".", slice(split(".", var.domain_name), 1, length(split(".", var.domain_name)))))
  # api.telehealth.com's colours are blue.api.telehealth.com and green.api.telehealth.com.
  colour_hosts = { for colour in local.colours : colour => "${colour}.${var.domain_name}" }
  # Names for a load balancer's rule alone: whoever rehearses connects to the colour's host and asks for this one.
  rehearsal_hosts = { for colour, host in local.colour_hosts : colour => "rehearsal.${host}" }

  port          = 3000
  test_port     = 8443
  database_port = 5432
  redis_port    = 6379
  health_path   = "/health"

  # Whoever verifies from inside the VPC comes out of its NAT gateways.
  verifier_cidrs = concat(var.verifier_cidrs, [for address in module.vpc.nat_addresses : "${address}/32"])

  tags = {
    Environment = var.environment
    Service     = "telehealth-api"
    ManagedBy   = "terraform"
  }
}

# Pairs that cannot work are refused while planning, with the reason.
resource "terraform_data" "pair" {
  input = "${var.platform} with ${local.router}"

  lifecycle {
    precondition {
      condition     = !(local.apprunner && local.router == "route53")
      error_message = "platform \"apprunner\" with router \"route53\": App Runner answers 404 for a host that it does not know, and one custom domain cannot be on two services. Use \"cloudfront\"."
    }

    precondition {
      condition     = !(local.apprunner && local.router == "alb")
      error_message = "platform \"apprunner\" with router \"alb\": App Runner's services are no targets of a load balancer. Use \"cloudfront\"."
    }

    precondition {
      condition     = !(local.ecs && local.router == "cloudfront")
      error_message = "platform \"ecs\" with router \"cloudfront\": the load balancers would be a second switch behind the first. Use \"alb\" or \"route53\"."
    }
  }
}
