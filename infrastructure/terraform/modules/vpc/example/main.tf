# A VPC with private and public subnets in two zones.

provider "aws" {
  region = "us-east-1"
}

module "vpc" {
  source = "../"

  name               = "shop"
  vpc_cidr           = "10.0.0.0/16"
  availability_zones = ["us-east-1a", "us-east-1b"]
  private_subnets    = ["10.0.1.0/24", "10.0.2.0/24"]
  public_subnets     = ["10.0.101.0/24", "10.0.102.0/24"]
  database_port      = 5432
  redis_port         = 6379
  log_retention_days = 90
  kms_key_arn        = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
}
