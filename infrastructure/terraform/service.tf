# What both colours are told, and what they start with. The newest image is looked up only where none is named; afterwards whatever
# this comes to is ignored, since images are the deployer's.

data "aws_ecr_image" "newest" {
  count = var.image_blue == null || var.image_green == null ? 1 : 0

  repository_name = module.registry.repository_name
  most_recent     = true
}

locals {
  newest_image = one([for image in data.aws_ecr_image.newest : "${module.registry.repository_url}@${image.image_digest}"])
  images       = { blue = coalesce(var.image_blue, local.newest_image), green = coalesce(var.image_green, local.newest_image) }

  variables = {
    NODE_ENV                = "production"
    REDIS_HOST              = module.redis.redis_host
    REDIS_PORT              = tostring(local.redis_port)
    REDIS_TLS               = "true"
    COGNITO_USER_POOL_ID    = module.cognito.user_pool_id
    COGNITO_CLIENT_ID       = module.cognito.client_id
    CORS_ORIGINS            = join(",", length(var.cors_origins) > 0 ? var.cors_origins : ["https://${var.domain_name}"])
    RATE_LIMIT_MAX_REQUESTS = tostring(var.rate_limit_max_requests)
    HIPAA_COMPLIANCE_MODE   = tostring(var.compliance_modes.hipaa)
    SOC2_COMPLIANCE_MODE    = tostring(var.compliance_modes.soc2)
  }

  # The platform puts the values in; the service's configuration shows ARNs alone.
  secrets = merge({
    DATABASE_URL     = module.secrets.arns["database-url"]
    JWT_SECRET       = module.secrets.arns["jwt-secret"]
    REDIS_AUTH_TOKEN = module.secrets.redis_auth_arn
    }, var.seed_smoke_users ? {
    SEED_USERS = module.secrets.arns["smoke-users"]
  } : {})
}

data "aws_iam_policy_document" "service" {
  statement {
    sid       = "Secrets"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = values(local.secrets)
  }

  statement {
    sid       = "Decrypt"
    actions   = ["kms:Decrypt"]
    resources = [aws_kms_key.main.arn]
  }

  statement {
    sid       = "Users"
    actions   = ["cognito-idp:AdminInitiateAuth", "cognito-idp:AdminGetUser", "cognito-idp:AdminUserGlobalSignOut"]
    resources = [module.cognito.user_pool_arn]
  }
}
