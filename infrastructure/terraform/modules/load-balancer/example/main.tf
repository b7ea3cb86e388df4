# A load balancer before both colours, in a VPC that exists.

provider "aws" {
  region = "us-east-1"
}

module "load_balancer" {
  source = "../"

  name                = "shop"
  environment         = "production"
  colours             = ["blue", "green"]
  colour_hosts        = { blue = "blue.api.shop.example", green = "green.api.shop.example" }
  rehearsal_hosts     = { blue = "rehearsal.blue.api.shop.example", green = "rehearsal.green.api.shop.example" }
  domain_name         = "api.shop.example"
  certificate_arn     = "arn:aws:acm:us-east-1:123456789012:certificate/1234abcd-12ab-34cd-56ef-1234567890ab"
  vpc_id              = "vpc-0a1b2c3d4e5f60000"
  vpc_cidr            = "10.0.0.0/16"
  public_subnet_ids   = ["subnet-0a1b2c3d4e5f60003", "subnet-0a1b2c3d4e5f60004"]
  verifier_cidrs      = ["192.0.2.0/28"]
  port                = 8080
  test_port           = 8443
  health_path         = "/health"
  access_log_bucket   = "shop-logs"
  web_acl_arn         = "arn:aws:wafv2:us-east-1:123456789012:regional/webacl/shop/1234abcd-12ab-34cd-56ef-1234567890ab"
  deletion_protection = true
}
