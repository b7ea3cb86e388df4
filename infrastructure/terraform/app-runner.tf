# Two colours on App Runner behind CloudFront: for accounts that had App Runner before it was closed to new ones.

# How the front door makes itself known. CloudFront and the web ACL are told, so the state holds it, too.
resource "random_password" "origin" {
  count = local.apprunner ? 1 : 0

  length  = 48
  special = false
}

locals {
  origin_header = { name = "x-origin-verify", value = local.apprunner ? random_password.origin[0].result : "" }
}

module "app_runner_base" {
  source = "./modules/app-runner-base"
  count  = local.apprunner ? 1 : 0

  name                      = local.name
  repository_arn            = module.registry.repository_arn
  service_policy            = data.aws_iam_policy_document.service.json
  private_subnet_ids        = module.vpc.private_subnet_ids
  service_security_group_id = module.vpc.service_security_group_id
  max_concurrency           = var.max_concurrency
  min_size                  = var.min_size
  max_size                  = var.max_size
}

module "colour_waf" {
  source = "./modules/waf"
  count  = local.apprunner ? 1 : 0

  name               = "${local.name}-colours"
  scope              = "REGIONAL"
  everybody          = false
  verifier_cidrs     = local.verifier_cidrs
  origin_header      = local.origin_header
  kms_key_arn        = aws_kms_key.main.arn
  log_retention_days = var.log_retention_days
}

module "app_runner" {
  source   = "./modules/app-runner"
  for_each = toset(local.apprunner ? local.colours : [])

  environment                     = var.environment
  color                           = each.key
  image_identifier                = local.images[each.key]
  port                            = local.port
  health_path                     = local.health_path
  variables                       = local.variables
  secrets                         = local.secrets
  cpu                             = var.cpu
  memory                          = var.memory
  access_role_arn                 = module.app_runner_base[0].access_role_arn
  instance_role_arn               = module.app_runner_base[0].instance_role_arn
  vpc_connector_arn               = module.app_runner_base[0].vpc_connector_arn
  auto_scaling_configuration_arn  = module.app_runner_base[0].auto_scaling_configuration_arn
  observability_configuration_arn = module.app_runner_base[0].observability_configuration_arn
  web_acl_arn                     = module.colour_waf[0].arn
  kms_key_arn                     = aws_kms_key.main.arn
}

module "front_door" {
  source    = "./modules/front-door"
  count     = local.apprunner ? 1 : 0
  providers = { aws = aws.global }

  name                          = local.name
  domain_name                   = var.domain_name
  origins                       = { for colour in local.colours : colour => module.app_runner[colour].app_runner_url }
  origin_header                 = local.origin_header
  certificate_arn               = one(aws_acm_certificate_validation.global[*].certificate_arn)
  access_log_bucket_domain_name = module.deploy_state.access_log_bucket_domain_name
  verifier_cidrs                = local.verifier_cidrs
  rate_limit                    = var.waf_rate_limit
  kms_key_arn                   = aws_kms_key.global.arn
  log_retention_days            = var.log_retention_days
}
