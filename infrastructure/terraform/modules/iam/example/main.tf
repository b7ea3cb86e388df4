# A role for each duty of deployments, for two ECS services behind a load balancer that exist.

provider "aws" {
  region = "us-east-1"
}

module "iam" {
  source = "../"

  name                     = "production-shop"
  environment              = "production"
  account                  = "123456789012"
  partition                = "aws"
  region                   = "us-east-1"
  platform                 = "ecs"
  router                   = "alb"
  domain_name              = "api.shop.example"
  service_arns             = { blue = "arn:aws:ecs:us-east-1:123456789012:service/retail/shop", green = "arn:aws:ecs:us-east-1:123456789012:service/retail/shop-green" }
  service_names            = { blue = "shop", green = "shop" } # the families of the task definitions
  cluster_arn              = "arn:aws:ecs:us-east-1:123456789012:cluster/retail"
  shared_arns              = []
  route_arns               = ["arn:aws:elasticloadbalancing:us-east-1:123456789012:listener-rule/app/retail/0123456789abcdef/0123456789abcdef/0123456789abcdef"]
  repository_arn           = "arn:aws:ecr:us-east-1:123456789012:repository/shop"
  enhanced_scanning        = false
  passed_role_arns         = ["arn:aws:iam::123456789012:role/shop-execution", "arn:aws:iam::123456789012:role/shop-task"]
  log_group_arns           = ["arn:aws:logs:us-east-1:123456789012:log-group:/ecs/shop:*"]
  health_check_arns        = []
  lease_table_arn          = "arn:aws:dynamodb:us-east-1:123456789012:table/production-shop-deploy-state"
  audit_bucket_arn         = "arn:aws:s3:::production-shop-audit-123456789012"
  secret_arns              = ["arn:aws:secretsmanager:us-east-1:123456789012:secret:shop/smoke-users-AbCdEf", "arn:aws:secretsmanager:us-east-1:123456789012:secret:shop/signing-key-AbCdEf", "arn:aws:secretsmanager:us-east-1:123456789012:secret:shop/signing-public-key-AbCdEf"]
  smoke_users_secret_arn   = "arn:aws:secretsmanager:us-east-1:123456789012:secret:shop/smoke-users-AbCdEf"
  signing_key_secret_arn   = "arn:aws:secretsmanager:us-east-1:123456789012:secret:shop/signing-key-AbCdEf"
  public_key_secret_arn    = "arn:aws:secretsmanager:us-east-1:123456789012:secret:shop/signing-public-key-AbCdEf"
  checked_secret_arns      = []
  topic_arns               = []
  kms_key_arns             = []
  github_repository        = "example/shop"
  github_ids               = { owner = 123456, repository = 456789, only = false }
  github_oidc_provider_arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
  operators                = []
}
