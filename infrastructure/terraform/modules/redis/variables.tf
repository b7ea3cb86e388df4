variable "name" {
  description = "Name of the replication group, and beginning of the others: 40 characters at the most."
  type        = string
}

variable "vpc_id" {
  description = "VPC of Redis."
  type        = string
}

variable "private_subnet_ids" {
  description = "Subnets of Redis, in two zones at least."
  type        = list(string)
}

variable "service_security_group_id" {
  description = "Security group of those who may connect."
  type        = string
}

variable "port" {
  description = "Port of Redis."
  type        = number
}

variable "redis_node_type" {
  description = "Node type."
  type        = string
}

variable "redis_engine_version" {
  description = "Redis version."
  type        = string
}

variable "auth_token" {
  description = "Password of Redis."
  type        = string
  sensitive   = true
}

variable "kms_key_arn" {
  description = "Key that encrypts data, snapshots and logs."
  type        = string
}

variable "log_retention_days" {
  description = "How long Redis's logs are kept."
  type        = number
}
