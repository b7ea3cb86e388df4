# One colour on App Runner, with roles and a connector that exist.

provider "aws" {
  region = "us-east-1"
}

module "app_runner" {
  source = "../"

  environment                     = "production"
  color                           = "blue"
  image_identifier                = "123456789012.dkr.ecr.us-east-1.amazonaws.com/shop@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  port                            = 3000
  health_path                     = "/health"
  variables                       = { NODE_ENV = "production" }
  secrets                         = { DATABASE_URL = "arn:aws:secretsmanager:us-east-1:123456789012:secret:shop/database-url-AbCdEf" }
  cpu                             = 1024
  memory                          = 2048
  access_role_arn                 = "arn:aws:iam::123456789012:role/shop-pull"
  instance_role_arn               = "arn:aws:iam::123456789012:role/shop-service"
  vpc_connector_arn               = "arn:aws:apprunner:us-east-1:123456789012:vpcconnector/shop/1/0123456789abcdef0123456789abcdef"
  auto_scaling_configuration_arn  = "arn:aws:apprunner:us-east-1:123456789012:autoscalingconfiguration/shop/1/0123456789abcdef0123456789abcdef"
  observability_configuration_arn = "arn:aws:apprunner:us-east-1:123456789012:observabilityconfiguration/shop/1/0123456789abcdef0123456789abcdef"
  web_acl_arn                     = "arn:aws:wafv2:us-east-1:123456789012:regional/webacl/shop/1234abcd-12ab-34cd-56ef-1234567890ab"
  kms_key_arn                     = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
}
