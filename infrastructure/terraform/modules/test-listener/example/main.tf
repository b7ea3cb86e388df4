# A listener for those who verify green, on a load balancer that exists.

provider "aws" {
  region = "us-east-1"
}

module "test_listener" {
  source = "../"

  color                           = "green"
  load_balancer_arn               = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/retail/0123456789abcdef"
  load_balancer_security_group_id = "sg-0a1b2c3d4e5f60001"
  port                            = 8444
  certificate_arn                 = "arn:aws:acm:us-east-1:123456789012:certificate/1234abcd-12ab-34cd-56ef-1234567890ab"
  more_certificate_arns           = ["arn:aws:acm:us-east-1:123456789012:certificate/5678abcd-12ab-34cd-56ef-1234567890ab"]
  target_group_arn                = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/shop-green/0123456789abcdef"
  verifier_cidrs                  = ["192.0.2.0/28"]
}
