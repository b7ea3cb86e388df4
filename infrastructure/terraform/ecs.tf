# Two colours on ECS Fargate: behind one load balancer whose rule holds the weights, or, where Route 53 is the router, each behind its
# own.

locals {
  load_balancers = local.ecs ? (local.router == "route53" ? { blue = ["blue"], green = ["green"] } : { main = local.colours }) : {}
  # Colour by colour, the load balancer in front of it.
  balancer_of = merge([for key, colours in local.load_balancers : { for colour in colours : colour => key }]...)
}

module "ecs" {
  source = "./modules/ecs"
  count  = local.ecs ? 1 : 0

  name               = local.name
  repository_arn     = module.registry.repository_arn
  service_policy     = data.aws_iam_policy_document.service.json
  secret_arns        = values(local.secrets)
  kms_key_arn        = aws_kms_key.main.arn
  kms_key_id         = aws_kms_key.main.key_id
  log_retention_days = var.log_retention_days
}

module "front_door_waf" {
  source = "./modules/waf"
  count  = local.ecs ? 1 : 0

  name               = "${local.name}-front-door"
  scope              = "REGIONAL"
  everybody          = true
  verifier_cidrs     = local.verifier_cidrs
  rate_limit         = var.waf_rate_limit
  kms_key_arn        = aws_kms_key.main.arn
  log_retention_days = var.log_retention_days
}

module "load_balancer" {
  source   = "./modules/load-balancer"
  for_each = local.load_balancers

  name                = each.key == "main" ? local.name : "${local.name}-${each.key == "blue" ? "b" : "g"}"
  environment         = var.environment
  colours             = each.value
  colour_hosts        = local.colour_hosts
  rehearsal_hosts     = local.rehearsal_hosts
  domain_name         = var.domain_name
  certificate_arn     = aws_acm_certificate_validation.regional[0].certificate_arn
  vpc_id              = module.vpc.vpc_id
  vpc_cidr            = var.vpc_cidr
  public_subnet_ids   = module.vpc.public_subnet_ids
  verifier_cidrs      = local.verifier_cidrs
  port                = local.port
  test_port           = local.test_port
  health_path         = local.health_path
  access_log_bucket   = module.deploy_state.access_log_bucket
  web_acl_arn         = module.front_door_waf[0].arn
  deletion_protection = local.deletion_protection
}

module "ecs_service" {
  source   = "./modules/ecs-service"
  for_each = toset(local.ecs ? local.colours : [])

  environment                     = var.environment
  color                           = each.key
  image_identifier                = local.images[each.key]
  port                            = local.port
  variables                       = local.variables
  secrets                         = local.secrets
  cpu                             = var.cpu
  memory                          = var.memory
  min_size                        = var.min_size
  max_size                        = var.max_size
  cluster_arn                     = module.ecs[0].cluster_arn
  cluster_name                    = module.ecs[0].cluster_name
  execution_role_arn              = module.ecs[0].execution_role_arn
  task_role_arn                   = module.ecs[0].task_role_arn
  log_group_name                  = module.ecs[0].log_group_name
  vpc_id                          = module.vpc.vpc_id
  private_subnet_ids              = module.vpc.private_subnet_ids
  service_security_group_id       = module.vpc.service_security_group_id
  load_balancer_security_group_id = module.load_balancer[local.balancer_of[each.key]].security_group_id
  target_group_arn                = module.load_balancer[local.balancer_of[each.key]].target_group_arns[each.key]
}
