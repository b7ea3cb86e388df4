variable "name" {
  description = "Beginning of every name."
  type        = string
}

variable "vpc_cidr" {
  description = "CIDR block of the VPC."
  type        = string
}

variable "availability_zones" {
  description = "Zones, one for each pair of subnets. Empty: the first ones of the region."
  type        = list(string)
}

variable "private_subnets" {
  description = "CIDR blocks of the private subnets."
  type        = list(string)
}

variable "public_subnets" {
  description = "CIDR blocks of the public subnets, as many as private ones."
  type        = list(string)
}

variable "database_port" {
  description = "Port of the database."
  type        = number
}

variable "redis_port" {
  description = "Port of Redis."
  type        = number
}

variable "log_retention_days" {
  description = "How long flow logs are kept."
  type        = number
}

variable "kms_key_arn" {
  description = "Key that encrypts the flow logs."
  type        = string
}
