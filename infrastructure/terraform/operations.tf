# Names, alarms, and who may do what.

locals {
  colour_dimensions = local.apprunner ? {
    for colour, service in module.app_runner : colour => { ServiceName = service.service_name, ServiceID = service.app_runner_id }
    } : {
    for colour, key in local.balancer_of : colour => { LoadBalancer = module.load_balancer[key].arn_suffix, TargetGroup = module.load_balancer[key].target_group_arn_suffixes[colour] }
  }

  live_targets = local.apprunner ? {
    main = { name = one(module.front_door[*].domain_name), zone_id = one(module.front_door[*].hosted_zone_id) }
    } : {
    for key, balancer in module.load_balancer : key => { name = balancer.dns_name, zone_id = balancer.zone_id }
  }

  services = { for colour in local.colours : colour => local.apprunner ? module.app_runner[colour].service_name : module.ecs_service[colour].service_name }

  # App Runner's ARNs end in an ID that is another one once the service had to be made anew.
  service_arns = {
    for colour, service in local.services : colour =>
    local.apprunner ? "arn:${local.partition}:apprunner:${var.aws_region}:${local.account}:service/${service}/*" : "arn:${local.partition}:ecs:${var.aws_region}:${local.account}:service/${local.name}/${service}"
  }

  checked_secrets = {
    for name in var.checked_secrets : name => module.secrets.arns[{ token = "jwt-secret", database = "verifier-database-url", redis = "verifier-redis-url" }[name]]
  }

  route_arns = {
    cloudfront = module.front_door[*].key_value_store_arn
    alb        = [for balancer in module.load_balancer : balancer.listener_rule_arn]
    route53    = [data.aws_route53_zone.main.arn]
  }[local.router]
}

# An alarm can only tell a topic of its own region, and the metrics of Route 53's health checks are in us-east-1: hence two.
module "topic" {
  source = "./modules/topic"

  name                = "${local.name}-deployments"
  account             = local.account
  notification_emails = var.notification_emails
  kms_key_arn         = aws_kms_key.main.arn
}

module "global_topic" {
  source    = "./modules/topic"
  providers = { aws = aws.global }

  name                = "${local.name}-live-domain"
  account             = local.account
  notification_emails = var.notification_emails
  kms_key_arn         = aws_kms_key.global.arn
}

module "monitoring" {
  source = "./modules/monitoring"

  name             = local.name
  region           = var.aws_region
  platform         = var.platform
  colours          = local.colour_dimensions
  latency_alarm_ms = var.latency_alarm_ms
  errors_alarm     = var.errors_alarm
  topic_arn        = module.topic.arn
}

module "route53" {
  source    = "./modules/route53"
  providers = { aws = aws.global } # records know no region; the health check's metric is there

  name         = local.name
  zone_id      = data.aws_route53_zone.main.zone_id
  domain_name  = var.domain_name
  live_targets = local.live_targets
  ipv6         = local.apprunner
  colour_targets = {
    for colour, key in local.balancer_of : colour => { host = local.colour_hosts[colour], name = module.load_balancer[key].dns_name, zone_id = module.load_balancer[key].zone_id }
  }
  health_path = local.health_path
  topic_arn   = module.global_topic.arn
}

module "iam" {
  source = "./modules/iam"

  name                     = local.name
  environment              = var.environment
  account                  = local.account
  partition                = local.partition
  region                   = var.aws_region
  platform                 = var.platform
  router                   = local.router
  session_seconds          = var.session_seconds
  domain_name              = var.domain_name
  service_arns             = local.service_arns
  service_names            = local.services
  cluster_arn              = local.ecs ? module.ecs[0].cluster_arn : ""
  shared_arns              = local.apprunner ? [module.app_runner_base[0].vpc_connector_arn, module.app_runner_base[0].auto_scaling_configuration_arn, module.app_runner_base[0].observability_configuration_arn] : []
  web_acl_arns             = module.colour_waf[*].arn
  route_arns               = local.route_arns
  repository_arn           = module.registry.repository_arn
  enhanced_scanning        = var.enhanced_scanning
  passed_role_arns         = local.apprunner ? [module.app_runner_base[0].access_role_arn, module.app_runner_base[0].instance_role_arn] : [module.ecs[0].execution_role_arn, module.ecs[0].task_role_arn]
  log_group_arns           = local.apprunner ? [for service in values(local.services) : "arn:${local.partition}:logs:${var.aws_region}:${local.account}:log-group:/aws/apprunner/${service}/*"] : ["arn:${local.partition}:logs:${var.aws_region}:${local.account}:log-group:${module.ecs[0].log_group_name}:*"]
  health_check_arns        = ["arn:${local.partition}:route53:::healthcheck/${module.route53.health_check_id}"]
  lease_table_arn          = module.deploy_state.lease_table_arn
  audit_bucket_arn         = module.deploy_state.audit_bucket_arn
  secret_arns              = concat(values(module.secrets.arns), [module.secrets.redis_auth_arn])
  smoke_users_secret_arn   = module.secrets.arns["smoke-users"]
  signing_key_secret_arn   = module.secrets.arns["signing-key"]
  public_key_secret_arn    = module.secrets.arns["signing-public-key"]
  checked_secret_arns      = values(local.checked_secrets)
  topic_arns               = [module.topic.arn]
  kms_key_arns             = [aws_kms_key.main.arn]
  github_repository        = var.github_repository
  github_ids               = var.github_ids
  github_oidc_provider_arn = var.github_oidc_provider_arn
  operators                = var.operators
}
