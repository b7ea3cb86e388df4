variable "name" {
  description = "Name of store and policies, and beginning of the others."
  type        = string
}

variable "domain_name" {
  description = "The live domain."
  type        = string
}

variable "origins" {
  description = "Host of each colour."
  type        = map(string)

  validation {
    condition     = length(setsubtract(["blue", "green"], keys(var.origins))) == 0
    error_message = "origins names both blue and green."
  }
}

variable "origin_header" {
  description = "Header by which the front door makes itself known to a colour."
  type        = object({ name = string, value = string })
  sensitive   = true
}

variable "certificate_arn" {
  description = "Certificate for the live domain, in us-east-1."
  type        = string
}

variable "access_log_bucket_domain_name" {
  description = "Bucket of the access log, by its domain name."
  type        = string
}

variable "verifier_cidrs" {
  description = "Addresses that the web ACL lets through unexamined."
  type        = list(string)
}

variable "rate_limit" {
  description = "Requests of one address in five minutes beyond which it is blocked."
  type        = number
}

variable "kms_key_arn" {
  description = "Key that encrypts the web ACL's log, in us-east-1."
  type        = string
}

variable "log_retention_days" {
  description = "How long the web ACL's log is kept."
  type        = number
}
