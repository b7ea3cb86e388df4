# What App Runner services share, in a VPC that exists.

provider "aws" {
  region = "us-east-1"
}

module "app_runner_base" {
  source = "../"

  name                      = "shop"
  repository_arn            = "arn:aws:ecr:us-east-1:123456789012:repository/shop"
  service_policy            = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = "secretsmanager:GetSecretValue", Resource = "*" }] })
  private_subnet_ids        = ["subnet-0a1b2c3d4e5f60001", "subnet-0a1b2c3d4e5f60002"]
  service_security_group_id = "sg-0a1b2c3d4e5f60001"
  max_concurrency           = 80
  min_size                  = 2
  max_size                  = 10
}
