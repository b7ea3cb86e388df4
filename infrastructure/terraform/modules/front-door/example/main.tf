# CloudFront before two colours whose hosts exist.

provider "aws" {
  region = "us-east-1"
}

module "front_door" {
  source = "../"

  name                          = "shop"
  domain_name                   = "api.shop.example"
  origins                       = { blue = "a1b2c3d4e5.us-east-1.awsapprunner.com", green = "f6g7h8i9j0.us-east-1.awsapprunner.com" }
  origin_header                 = { name = "x-shop-front-door", value = "a-generated-secret" }
  certificate_arn               = "arn:aws:acm:us-east-1:123456789012:certificate/1234abcd-12ab-34cd-56ef-1234567890ab"
  access_log_bucket_domain_name = "shop-logs.s3.amazonaws.com"
  verifier_cidrs                = ["192.0.2.0/28"]
  rate_limit                    = 50000
  kms_key_arn                   = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
  log_retention_days            = 90
}
