# Redis in a VPC that exists.

provider "aws" {
  region = "us-east-1"
}

module "redis" {
  source = "../"

  name                      = "shop"
  vpc_id                    = "vpc-0a1b2c3d4e5f60000"
  private_subnet_ids        = ["subnet-0a1b2c3d4e5f60001", "subnet-0a1b2c3d4e5f60002"]
  service_security_group_id = "sg-0a1b2c3d4e5f60001"
  port                      = 6379
  redis_node_type           = "cache.t4g.small"
  redis_engine_version      = "7.1"
  auth_token                = "a-generated-secret-of-sufficient-length"
  kms_key_arn               = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
  log_retention_days        = 90
}
