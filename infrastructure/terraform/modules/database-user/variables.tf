variable "name" {
  description = "Beginning of every name."
  type        = string
}

variable "image" {
  description = "Image with PostgreSQL's client and wget."
  type        = string
  default     = "public.ecr.aws/docker/library/postgres:15-alpine"
}

variable "host" {
  description = "Host of the database."
  type        = string
}

variable "port" {
  description = "Port of the database."
  type        = number
}

variable "database" {
  description = "Name of the database in the instance."
  type        = string
  default     = "telehealth"
}

variable "master_user_secret_arn" {
  description = "Secret with the master user's name and password."
  type        = string
}

variable "database_url_secret_arn" {
  description = "Secret with the service's own URL of the database."
  type        = string
}

variable "reader_url_secret_arn" {
  description = "Secret with the URL of a user who may only read; empty: none is made."
  type        = string
  default     = ""
}

variable "kms_key_arn" {
  description = "Key that encrypts the secrets and the log."
  type        = string
}

variable "log_retention_days" {
  description = "How long the log is kept."
  type        = number
}
