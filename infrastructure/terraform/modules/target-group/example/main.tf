# A second target group like the first.

provider "aws" {
  region = "us-east-1"
}

module "target_group" {
  source = "../"

  name     = "shop-green"
  color    = "green"
  like_arn = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/shop/0123456789abcdef"
}
