variable "name" {
  description = "Beginning of every name."
  type        = string
}

variable "environment" {
  description = "Environment's name, also that of GitHub's environment."
  type        = string
}

variable "account" {
  description = "Account of the estate."
  type        = string
}

variable "partition" {
  description = "Partition of the account: aws, aws-cn or aws-us-gov."
  type        = string
}

variable "region" {
  description = "Region of the estate."
  type        = string
}

variable "platform" {
  description = "What runs a release: apprunner or ecs."
  type        = string
}

variable "router" {
  description = "What decides where traffic goes: cloudfront, alb or route53."
  type        = string
}

variable "domain_name" {
  description = "The live domain, the only record that a switch may write where the router is Route 53."
  type        = string
}

variable "service_arns" {
  description = "ARN, or its pattern, of each colour's service."
  type        = map(string)
}

variable "service_names" {
  description = "Name of each colour's service, also the family of its task definitions."
  type        = map(string)
}

variable "cluster_arn" {
  description = "Cluster of the tasks; empty on App Runner."
  type        = string
}

variable "shared_arns" {
  description = "What both App Runner services share, and a service that is created again names: connector, scaling, tracing. Empty on ECS."
  type        = list(string)
}

variable "web_acl_arns" {
  description = "Web ACL of the App Runner services' own addresses; empty on ECS."
  type        = list(string)
  default     = []
}

variable "route_arns" {
  description = "What holds the routes: the key value store, the live listeners' rules, or the hosted zone."
  type        = list(string)
}

variable "repository_arn" {
  description = "ARN of the image repository."
  type        = string
}

variable "enhanced_scanning" {
  description = "Whether Amazon Inspector scans the registry's images."
  type        = bool
}

variable "passed_role_arns" {
  description = "Roles that an update hands on to the platform."
  type        = list(string)
}

variable "log_group_arns" {
  description = "Logs of the service."
  type        = list(string)
}

variable "health_check_arns" {
  description = "Route 53's health checks; empty: none."
  type        = list(string)
}

variable "lease_table_arn" {
  description = "ARN of the lock's table."
  type        = string
}

variable "audit_bucket_arn" {
  description = "ARN of the evidence's bucket."
  type        = string
}

variable "secret_arns" {
  description = "Every secret of the estate, of which preflight asks whether it has a value."
  type        = list(string)
}

variable "smoke_users_secret_arn" {
  description = "Secret with the smoke users."
  type        = string
}

variable "public_key_secret_arn" {
  description = "Secret with the public half of the signing key, for those who only check."
  type        = string
}

variable "signing_key_secret_arn" {
  description = "Secret with the key that signs reports."
  type        = string
}

variable "checked_secret_arns" {
  description = "Secrets that checks read besides the smoke users: the key of the tokens, the addresses of the stores."
  type        = list(string)
}

variable "topic_arns" {
  description = "Topic that is told of deployments; empty: none."
  type        = list(string)
}

variable "kms_key_arns" {
  description = "The estate's key; empty: AWS's own keys, which need no right."
  type        = list(string)
}

variable "github_repository" {
  description = "GitHub repository, OWNER/NAME; null: none."
  type        = string
}

variable "github_ids" {
  description = "Ids of the repository's owner and of the repository; `only`: tokens without them are refused. Null: only names are trusted."
  type        = object({ owner = number, repository = number, only = bool })
}

variable "github_oidc_provider_arn" {
  description = "OIDC provider for GitHub; null: it is made here."
  type        = string
}

variable "operators" {
  description = "ARNs of the roles or users that may take the roles."
  type        = list(string)
}

variable "session_seconds" {
  description = "How long a sign-in with one of the roles may last."
  type        = number
  default     = 7200
}
