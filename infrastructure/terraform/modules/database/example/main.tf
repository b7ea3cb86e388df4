# PostgreSQL in a VPC that exists.

provider "aws" {
  region = "us-east-1"
}

module "database" {
  source = "../"

  name                      = "shop"
  vpc_id                    = "vpc-0a1b2c3d4e5f60000"
  private_subnet_ids        = ["subnet-0a1b2c3d4e5f60001", "subnet-0a1b2c3d4e5f60002"]
  service_security_group_id = "sg-0a1b2c3d4e5f60001"
  port                      = 5432
  db_instance_class         = "db.t4g.medium"
  db_allocated_storage      = 50
  db_engine_version         = "16"
  kms_key_arn               = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
  log_retention_days        = 90
  deletion_protection       = true
}
