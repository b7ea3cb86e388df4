# A web ACL for a load balancer.

provider "aws" {
  region = "us-east-1"
}

module "waf" {
  source = "../"

  name               = "shop"
  scope              = "REGIONAL"
  everybody          = true
  verifier_cidrs     = ["192.0.2.0/28"]
  kms_key_arn        = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
  log_retention_days = 90
}
