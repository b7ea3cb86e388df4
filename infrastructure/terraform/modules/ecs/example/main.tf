# A cluster with the roles of its tasks.

provider "aws" {
  region = "us-east-1"
}

module "ecs" {
  source = "../"

  name               = "shop"
  repository_arn     = "arn:aws:ecr:us-east-1:123456789012:repository/shop"
  service_policy     = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = "s3:GetObject", Resource = "arn:aws:s3:::shop-pictures/*" }] })
  secret_arns        = ["arn:aws:secretsmanager:us-east-1:123456789012:secret:shop/database-url-AbCdEf"]
  kms_key_arn        = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
  kms_key_id         = "1234abcd-12ab-34cd-56ef-1234567890ab"
  log_retention_days = 90
}
