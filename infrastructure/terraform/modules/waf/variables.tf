variable "name" {
  description = "Name of the web ACL."
  type        = string
}

variable "scope" {
  description = "CLOUDFRONT (in us-east-1) or REGIONAL."
  type        = string

  validation {
    condition     = contains(["CLOUDFRONT", "REGIONAL"], var.scope)
    error_message = "scope is CLOUDFRONT or REGIONAL."
  }
}

variable "everybody" {
  description = "True at the front door; false at a colour's own address, which answers the front door and the verifiers alone."
  type        = bool
}

variable "verifier_cidrs" {
  description = "Addresses that are let through unexamined."
  type        = list(string)
}

variable "origin_header" {
  description = "Header by which the front door makes itself known; not used where everybody is let in."
  type        = object({ name = string, value = string })
  default     = { name = "", value = "" }
  sensitive   = true
}

variable "rate_limit" {
  description = "Requests of one address in five minutes beyond which it is blocked; at the front door alone."
  type        = number
  default     = 50000
}

variable "kms_key_arn" {
  description = "Key that encrypts the log, in the web ACL's region."
  type        = string
}

variable "log_retention_days" {
  description = "How long the log is kept."
  type        = number
}
