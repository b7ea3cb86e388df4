# Under the names of deployment.toml: `scripts/deploy.py configure` copies what it knows, and what does not apply is null.

output "environment" {
  description = "Environment's name; `configure` refuses outputs of another one."
  value       = var.environment
}

output "platform" {
  description = "What runs a release."
  value       = var.platform
}

output "router" {
  description = "What decides where traffic goes."
  value       = local.router
}

output "account" {
  description = "Account of the estate."
  value       = local.account
}

output "region" {
  description = "Region of the estate."
  value       = var.aws_region
}

output "live_url" {
  description = "The live domain."
  value       = "https://${var.domain_name}"
}

output "services" {
  description = "Name of each colour's service."
  value       = local.services
}

output "rehearsal_hosts" {
  description = "By colour, the host that the test listener takes for the live domain's, on ECS."
  value       = local.ecs ? local.rehearsal_hosts : null
}

output "key_value_store_arn" {
  description = "Store that says where traffic goes, where the router is CloudFront."
  value       = one(module.front_door[*].key_value_store_arn)
}

output "web_acl_arn" {
  description = "Web ACL of the colours' own addresses, on App Runner: the deployer associates it with a service that it creates again."
  value       = one(module.colour_waf[*].arn)
}

output "cluster" {
  description = "Cluster of the tasks, on ECS."
  value       = one(module.ecs[*].cluster_name)
}

output "target_groups" {
  description = "Target group of each colour, on ECS."
  value       = local.ecs ? { for colour, key in local.balancer_of : colour => module.load_balancer[key].target_group_arns[colour] } : null
}

output "colour_urls" {
  description = "Where each colour alone is reached, on ECS."
  value       = local.ecs ? { for colour, host in local.colour_hosts : colour => "https://${host}:${local.test_port}" } : null
}

output "listener_rule_arn" {
  description = "Rule that holds the weights, where the router is the load balancer."
  value       = local.router == "alb" && local.ecs ? one([for balancer in module.load_balancer : balancer.listener_rule_arn]) : null
}

output "hosted_zone_id" {
  description = "Hosted zone of the weighted records, where the router is Route 53."
  value       = local.router == "route53" ? data.aws_route53_zone.main.zone_id : null
}

output "record_name" {
  description = "Name of the weighted records, where the router is Route 53."
  value       = local.router == "route53" ? var.domain_name : null
}

output "set_identifiers" {
  description = "Identifier of each colour's weighted record, where the router is Route 53."
  value       = local.router == "route53" ? module.route53.set_identifiers : null
}

output "resolvers" {
  description = "Resolvers that must answer with the new colour, where the router is Route 53."
  value       = local.router == "route53" ? var.resolvers : null
}

output "lease_table" {
  description = "Table of the lock."
  value       = module.deploy_state.lease_table
}

output "audit_bucket" {
  description = "Bucket of the evidence."
  value       = module.deploy_state.audit_bucket
}

output "smoke_users_secret" {
  description = "Secret with the smoke users; its ARN, never its value."
  value       = module.secrets.arns["smoke-users"]
}

output "signing_key_secret" {
  description = "Secret with the key that signs reports; its ARN, never its value."
  value       = module.secrets.arns["signing-key"]
}

output "signing_public_key_secret" {
  description = "Secret with the public half of that key; its ARN, never its value."
  value       = module.secrets.arns["signing-public-key"]
}

output "token_secret" {
  description = "Secret with the key of the service's tokens, if checks read it; its ARN, never its value."
  value       = lookup(local.checked_secrets, "token", null)
}

output "database_url_secret" {
  description = "Secret with the database's address for the checks, if they read it; its ARN, never its value."
  value       = lookup(local.checked_secrets, "database", null)
}

output "redis_url_secret" {
  description = "Secret with Redis's address for the checks, if they read it; its ARN, never its value."
  value       = lookup(local.checked_secrets, "redis", null)
}

output "ecr_repository" {
  description = "Name of the image repository."
  value       = module.registry.repository_name
}

output "alarms" {
  description = "The alarms that say whether the colours are well, one a colour: {colour} stands for it."
  value       = module.monitoring.alarm_names
}

output "route53_health_checks" {
  description = "Health check of the live domain."
  value       = [module.route53.health_check_id]
}

output "notifications_topic" {
  description = "Topic that is told of deployments."
  value       = module.topic.arn
}

# For people and for CI; `configure` leaves these alone.

output "repository_url" {
  description = "Where images are pushed."
  value       = module.registry.repository_url
}

output "role_arns" {
  description = "Role of each duty; a GitHub environment's AWS_ROLE_ARN is `release`."
  value       = module.iam.role_arns
}

output "database_endpoint" {
  description = "Host and port of the database."
  value       = module.database.endpoint
}

output "master_user_secret_arn" {
  description = "Secret of the database's master user, with which the service's own user is made."
  value       = module.database.master_user_secret_arn
}

output "database_user_task" {
  description = "What starts the task that makes the service's own user of the database: the options of `aws ecs run-task`."
  value = join(" ", [
    "--cluster ${module.database_user.cluster}",
    "--task-definition ${module.database_user.task_definition}",
    "--launch-type FARGATE",
    "--network-configuration awsvpcConfiguration={subnets=[${join(",", module.vpc.private_subnet_ids)}],securityGroups=[${module.vpc.service_security_group_id}],assignPublicIp=DISABLED}",
  ])
}

output "secrets_by_hand" {
  description = "Secrets whose values a person puts in."
  value       = module.secrets.arns
}

output "dashboard_name" {
  description = "Name of the dashboard."
  value       = module.monitoring.dashboard_name
}

output "live_domain_alarm" {
  description = "Alarm on the live domain's health check, in us-east-1."
  value       = module.route53.alarm_name
}
