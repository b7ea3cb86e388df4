variable "name" {
  description = "Beginning of every name."
  type        = string
}

variable "account" {
  description = "Account, which makes the buckets' names unique."
  type        = string
}

variable "kms_key_arn" {
  description = "Key that encrypts lock and evidence; null: AWS's own."
  type        = string
  default     = null
}

variable "audit_retention_days" {
  description = "How long nobody can delete evidence."
  type        = number
}

variable "log_retention_days" {
  description = "How long access logs are kept."
  type        = number
}

variable "deletion_protection" {
  description = "Whether the lock's table refuses to be deleted."
  type        = bool
}

variable "trial" {
  description = "Whether evidence is locked for a day only, and the buckets are destroyed with their content."
  type        = bool
  default     = false
}
