# Weighted records of two load balancers that exist, and a health check of the live domain.

provider "aws" {
  region = "us-east-1"
}

module "route53" {
  source = "../"

  name           = "shop"
  zone_id        = "Z0123456789ABCDEFGHIJ"
  domain_name    = "api.shop.example"
  live_targets   = { blue = { name = "shop-b-1.us-east-1.elb.amazonaws.com", zone_id = "Z35SXDOTRQ7X7K" }, green = { name = "shop-g-1.us-east-1.elb.amazonaws.com", zone_id = "Z35SXDOTRQ7X7K" } }
  ipv6           = false
  colour_targets = { blue = { host = "blue.api.shop.example", name = "shop-b-1.us-east-1.elb.amazonaws.com", zone_id = "Z35SXDOTRQ7X7K" }, green = { host = "green.api.shop.example", name = "shop-g-1.us-east-1.elb.amazonaws.com", zone_id = "Z35SXDOTRQ7X7K" } }
  health_path    = "/health"
  topic_arn      = "arn:aws:sns:us-east-1:123456789012:shop-live-domain"
}
