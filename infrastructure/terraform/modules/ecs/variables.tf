variable "name" {
  description = "Name of the cluster, and beginning of the others."
  type        = string
}

variable "repository_arn" {
  description = "ARN of the image repository."
  type        = string
}

variable "service_policy" {
  description = "What the service itself may do, as JSON."
  type        = string
}

variable "secret_arns" {
  description = "ARNs of the secrets that are handed to the service."
  type        = list(string)
}

variable "kms_key_arn" {
  description = "Key that encrypts log and secrets."
  type        = string
}

variable "kms_key_id" {
  description = "ID of the same key, which the tasks' storage wants."
  type        = string
}

variable "log_retention_days" {
  description = "How long the service's log is kept."
  type        = number
}
