# The seed's variables, under their old names, and what decides the shape of the estate. Which colour takes the traffic is no
# variable: the deployer moves it, and no apply brings it back.

variable "aws_region" {
  description = "AWS region of everything but CloudFront's certificate, web ACL and log group, and the alarms on Route 53's health checks."
  type        = string
  default     = "us-east-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.aws_region))
    error_message = "aws_region is a region's name, such as eu-central-1."
  }

  # An account of China or GovCloud has no us-east-1, and GovCloud's Route 53 has no public zones.
  validation {
    condition     = !can(regex("^(cn|us-gov)-", var.aws_region))
    error_message = "aws_region is in China or GovCloud, where this configuration cannot be planned: it needs us-east-1 and a public zone of Route 53. Make the estate otherwise, and describe it with `scripts/deploy.py adopt`."
  }
}

variable "account" {
  description = "Account that the estate belongs to; credentials of another one are refused. Null: whichever the credentials are of."
  type        = string
  default     = null

  validation {
    condition     = var.account == null || can(regex("^[0-9]{12}$", var.account))
    error_message = "account has 12 digits."
  }
}

variable "environment" {
  description = "Environment's name, also that of its table in deployment.toml; it begins every name of the estate."
  type        = string
  default     = "production"

  validation {
    # A service of App Runner has 40 characters at the most, and "-telehealth-api-green" takes 21 of them.
    condition     = can(regex("^[a-z][a-z0-9-]{1,17}[a-z0-9]$", var.environment))
    error_message = "environment has 3 to 19 lower-case letters, digits and dashes."
  }
}

variable "platform" {
  description = "What runs a release: \"ecs\" (Fargate), or \"apprunner\" for accounts that had it before it was closed to new ones."
  type        = string
  default     = "ecs"

  validation {
    condition     = contains(["apprunner", "ecs"], var.platform)
    error_message = "platform is \"apprunner\" or \"ecs\"."
  }
}

variable "router" {
  description = "What decides where traffic goes: \"cloudfront\", \"alb\" or \"route53\". Null: cloudfront for App Runner, alb for ECS."
  type        = string
  default     = null

  validation {
    condition     = var.router == null || contains(["cloudfront", "alb", "route53"], coalesce(var.router, "alb"))
    error_message = "router is \"cloudfront\", \"alb\" or \"route53\"."
  }
}

variable "vpc_cidr" {
  description = "CIDR block of the VPC."
  type        = string
  default     = "10.0.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr))
    error_message = "vpc_cidr is an IPv4 CIDR block."
  }
}

variable "availability_zones" {
  description = "Availability zones, one for each pair of subnets. Empty: the first ones of the region."
  type        = list(string)
  default     = []

  validation {
    condition     = length(var.availability_zones) == 0 || length(distinct(var.availability_zones)) >= 2
    error_message = "availability_zones is empty, or names two different zones at least."
  }
}

variable "private_subnets" {
  description = "CIDR blocks of the private subnets: the service's tasks or connector, database, Redis."
  type        = list(string)
  default     = ["10.0.1.0/24", "10.0.2.0/24"]

  validation {
    condition     = length(var.private_subnets) >= 2 && alltrue([for cidr in var.private_subnets : can(cidrnetmask(cidr))])
    error_message = "private_subnets needs two IPv4 CIDR blocks at least."
  }
}

variable "public_subnets" {
  description = "CIDR blocks of the public subnets, as many as private ones: NAT gateways and, on ECS, load balancers."
  type        = list(string)
  default     = ["10.0.3.0/24", "10.0.4.0/24"]

  validation {
    condition     = length(var.public_subnets) == length(var.private_subnets) && alltrue([for cidr in var.public_subnets : can(cidrnetmask(cidr))])
    error_message = "public_subnets needs an IPv4 CIDR block for each private subnet."
  }
}

variable "db_instance_class" {
  description = "Instance class of the database."
  type        = string
  default     = "db.t3.medium"

  validation {
    condition     = startswith(var.db_instance_class, "db.")
    error_message = "db_instance_class begins with \"db.\"."
  }
}

variable "db_allocated_storage" {
  description = "Storage of the database in GiB; it grows by itself up to four times as much."
  type        = number
  default     = 100

  validation {
    condition     = var.db_allocated_storage >= 20 && var.db_allocated_storage <= 16384
    error_message = "db_allocated_storage is between 20 and 16384 GiB."
  }
}

variable "db_engine_version" {
  description = "PostgreSQL's major version: RDS takes a minor one that it still creates, and updates it."
  type        = string
  default     = "15"

  validation {
    condition     = can(regex("^[0-9]{2}$", var.db_engine_version))
    error_message = "db_engine_version is a major version, such as 15: minor versions cease to be created."
  }
}

variable "redis_node_type" {
  description = "Node type of Redis."
  type        = string
  default     = "cache.t3.micro"

  validation {
    condition     = startswith(var.redis_node_type, "cache.")
    error_message = "redis_node_type begins with \"cache.\"."
  }
}

variable "redis_engine_version" {
  description = "Redis version: 7.0 or 7.1."
  type        = string
  default     = "7.1"

  validation {
    condition     = contains(["7.0", "7.1"], var.redis_engine_version)
    error_message = "redis_engine_version is 7.0 or 7.1."
  }
}

variable "domain_name" {
  description = "The live domain."
  type        = string
  default     = "api.telehealth.com"

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.){2,}[a-z]{2,}$", var.domain_name))
    error_message = "domain_name is a host below its hosted zone, such as api.telehealth.com."
  }
}

variable "hosted_zone_name" {
  description = "Public hosted zone that holds the live domain. Null: the domain without its first label."
  type        = string
  default     = null

  validation {
    condition     = var.hosted_zone_name == null || endswith(var.domain_name, ".${coalesce(var.hosted_zone_name, "-")}")
    error_message = "domain_name lies below hosted_zone_name."
  }
}
