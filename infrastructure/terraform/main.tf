# What both colours share: network, database, Redis, images, users, secrets, and what deployments remember.

module "vpc" {
  source = "./modules/vpc"

  name               = local.name
  vpc_cidr           = var.vpc_cidr
  availability_zones = var.availability_zones
  private_subnets    = var.private_subnets
  public_subnets     = var.public_subnets
  database_port      = local.database_port
  redis_port         = local.redis_port
  log_retention_days = var.log_retention_days
  kms_key_arn        = aws_kms_key.main.arn
}

module "database" {
  source = "./modules/database"

  name                      = local.name
  vpc_id                    = module.vpc.vpc_id
  private_subnet_ids        = module.vpc.private_subnet_ids
  service_security_group_id = module.vpc.service_security_group_id
  port                      = local.database_port
  db_instance_class         = var.db_instance_class
  db_allocated_storage      = var.db_allocated_storage
  db_engine_version         = var.db_engine_version
  kms_key_arn               = aws_kms_key.main.arn
  log_retention_days        = var.log_retention_days
  deletion_protection       = local.deletion_protection
  trial                     = var.trial
}

# How the service's own user comes to exist in a database that only the service's network reaches.
module "database_user" {
  source = "./modules/database-user"

  name                    = local.name
  host                    = module.database.address
  port                    = local.database_port
  master_user_secret_arn  = module.database.master_user_secret_arn
  database_url_secret_arn = module.secrets.arns["database-url"]
  reader_url_secret_arn   = lookup(module.secrets.arns, "verifier-database-url", "")
  kms_key_arn             = aws_kms_key.main.arn
  log_retention_days      = var.log_retention_days
}

# ElastiCache takes these signs alone besides letters and digits.
resource "random_password" "redis" {
  length           = 64
  override_special = "!&#$^<>-"
}

module "redis" {
  source = "./modules/redis"

  name                      = local.name
  vpc_id                    = module.vpc.vpc_id
  private_subnet_ids        = module.vpc.private_subnet_ids
  service_security_group_id = module.vpc.service_security_group_id
  port                      = local.redis_port
  redis_node_type           = var.redis_node_type
  redis_engine_version      = var.redis_engine_version
  auth_token                = random_password.redis.result
  kms_key_arn               = aws_kms_key.main.arn
  log_retention_days        = var.log_retention_days
}

module "registry" {
  source = "./modules/registry"

  repository  = var.repository
  create      = var.create_repository
  trial       = var.trial
  kms_key_arn = aws_kms_key.main.arn
}

module "secrets" {
  source = "./modules/secrets"

  prefix           = "${var.environment}/telehealth"
  kms_key_arn      = aws_kms_key.main.arn
  redis_auth_token = random_password.redis.result
  trial            = var.trial
  stores           = setintersection(var.checked_secrets, ["database", "redis"])
}

module "cognito" {
  source = "./modules/cognito"

  name                = local.name
  deletion_protection = local.deletion_protection
}

module "deploy_state" {
  source = "./modules/deploy-state"

  name                 = local.name
  account              = local.account
  kms_key_arn          = aws_kms_key.main.arn
  audit_retention_days = var.audit_retention_days
  log_retention_days   = var.log_retention_days
  deletion_protection  = local.deletion_protection
  trial                = var.trial
}
