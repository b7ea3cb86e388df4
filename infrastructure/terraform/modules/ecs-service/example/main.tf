# Both colours of a service behind one load balancer, in a VPC, a cluster and with a database that exist.

provider "aws" {
  region = "us-east-1"
}

module "load_balancer" {
  source = "../../load-balancer"

  name                = "shop"
  environment         = "production"
  colours             = ["blue", "green"]
  colour_hosts        = { blue = "blue.api.shop.example", green = "green.api.shop.example" }
  rehearsal_hosts     = { blue = "rehearsal.blue.api.shop.example", green = "rehearsal.green.api.shop.example" }
  domain_name         = "api.shop.example"
  certificate_arn     = "arn:aws:acm:us-east-1:123456789012:certificate/1234abcd-12ab-34cd-56ef-1234567890ab"
  vpc_id              = "vpc-0a1b2c3d4e5f60000"
  vpc_cidr            = "10.0.0.0/16"
  public_subnet_ids   = ["subnet-0a1b2c3d4e5f60003", "subnet-0a1b2c3d4e5f60004"]
  verifier_cidrs      = ["192.0.2.0/28"]
  port                = 8080
  test_port           = 8443
  health_path         = "/health"
  access_log_bucket   = "shop-logs"
  web_acl_arn         = "arn:aws:wafv2:us-east-1:123456789012:regional/webacl/shop/1234abcd-12ab-34cd-56ef-1234567890ab"
  deletion_protection = true
}

module "ecs_service" {
  source   = "../"
  for_each = toset(["blue", "green"])

  environment                     = "production"
  name                            = "shop-${each.key}"
  color                           = each.key
  image_identifier                = "123456789012.dkr.ecr.us-east-1.amazonaws.com/shop@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  port                            = 8080
  variables                       = { DATABASE_HOST = "shop.cluster-0123456789ab.us-east-1.rds.amazonaws.com" }
  secrets                         = { DATABASE_PASSWORD = "arn:aws:secretsmanager:us-east-1:123456789012:secret:shop/database-password-AbCdEf" }
  cpu                             = 512
  memory                          = 1024
  min_size                        = 2
  max_size                        = 10
  cluster_arn                     = "arn:aws:ecs:us-east-1:123456789012:cluster/retail"
  cluster_name                    = "retail"
  execution_role_arn              = "arn:aws:iam::123456789012:role/shop-execution"
  task_role_arn                   = "arn:aws:iam::123456789012:role/shop-task"
  log_group_name                  = "/ecs/shop"
  vpc_id                          = "vpc-0a1b2c3d4e5f60000"
  private_subnet_ids              = ["subnet-0a1b2c3d4e5f60001", "subnet-0a1b2c3d4e5f60002"]
  service_security_group_id       = "sg-0a1b2c3d4e5f60001"
  load_balancer_security_group_id = module.load_balancer.security_group_id
  target_group_arn                = module.load_balancer.target_group_arns[each.key]
}

# A second service like one that exists: it starts with that one's task definition and security groups.
module "second_service" {
  source = "../"

  name                       = "bakery-green"
  color                      = "green"
  task_definition_arn        = "arn:aws:ecs:us-east-1:123456789012:task-definition/bakery:17"
  container_name             = "web"
  port                       = 8080
  min_size                   = 2
  cluster_arn                = "arn:aws:ecs:us-east-1:123456789012:cluster/retail"
  cluster_name               = "retail"
  private_subnet_ids         = ["subnet-0a1b2c3d4e5f60001", "subnet-0a1b2c3d4e5f60002"]
  security_group_ids         = ["sg-0a1b2c3d4e5f60001"]
  capacity_provider_strategy = [{ capacity_provider = "FARGATE_SPOT", weight = 1, base = 0 }]
  target_group_arn           = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/bakery-green/0123456789abcdef"
}
