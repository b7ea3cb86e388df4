# The lock and the evidence of deployments, encrypted with AWS's own keys.

provider "aws" {
  region = "us-east-1"
}

module "deploy_state" {
  source = "../"

  name                 = "shop"
  account              = "123456789012"
  audit_retention_days = 365
  log_retention_days   = 90
  deletion_protection  = true
}
