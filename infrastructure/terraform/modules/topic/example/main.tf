# A topic for messages about deployments.

provider "aws" {
  region = "us-east-1"
}

module "topic" {
  source = "../"

  name                = "shop-deployments"
  account             = "123456789012"
  notification_emails = ["team@shop.example"]
  kms_key_arn         = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
}
