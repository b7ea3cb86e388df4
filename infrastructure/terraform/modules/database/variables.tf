variable "name" {
  description = "Name of the instance, and beginning of the others."
  type        = string
}

variable "vpc_id" {
  description = "VPC of the database."
  type        = string
}

variable "private_subnet_ids" {
  description = "Subnets of the database, in two zones at least."
  type        = list(string)
}

variable "service_security_group_id" {
  description = "Security group of those who may connect."
  type        = string
}

variable "port" {
  description = "Port of the database."
  type        = number
}

variable "db_instance_class" {
  description = "Instance class."
  type        = string
}

variable "db_allocated_storage" {
  description = "Storage in GiB."
  type        = number
}

variable "db_engine_version" {
  description = "PostgreSQL's major version."
  type        = string
}

variable "kms_key_arn" {
  description = "Key that encrypts storage, backups, insights and the master password."
  type        = string
}

variable "log_retention_days" {
  description = "How long the database's logs are kept."
  type        = number
}

variable "deletion_protection" {
  description = "Whether the database refuses to be deleted."
  type        = bool
}

variable "trial" {
  description = "Whether the database goes without a last snapshot, with its backups, and has no standby: for an environment that is destroyed again."
  type        = bool
  default     = false
}
