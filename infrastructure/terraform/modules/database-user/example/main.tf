# A task that makes the service's own user in a database that exists.

provider "aws" {
  region = "us-east-1"
}

module "database_user" {
  source = "../"

  name                    = "shop"
  host                    = "shop.cluster-0123456789ab.us-east-1.rds.amazonaws.com"
  port                    = 5432
  database                = "shop"
  master_user_secret_arn  = "arn:aws:secretsmanager:us-east-1:123456789012:secret:rds!db-1234abcd-AbCdEf"
  database_url_secret_arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:shop/database-url-AbCdEf"
  reader_url_secret_arn   = ""
  kms_key_arn             = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
  log_retention_days      = 90
}
