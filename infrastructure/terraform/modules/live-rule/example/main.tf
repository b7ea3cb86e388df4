# The rule with the weights, on a listener that exists.

provider "aws" {
  region = "us-east-1"
}

module "live_rule" {
  source = "../"

  listener_arn      = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/retail/0123456789abcdef/0123456789abcdef"
  priority          = 9
  like_arn          = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener-rule/app/retail/0123456789abcdef/0123456789abcdef/0123456789abcdef"
  target_group_arns = { blue = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/shop/0123456789abcdef", green = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/shop-green/0123456789abcdef" }
  first_color       = "blue"
}
