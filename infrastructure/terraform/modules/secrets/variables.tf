variable "prefix" {
  description = "Beginning of every secret's name."
  type        = string
}

variable "names" {
  description = "Secrets to make whose values a person puts in."
  type        = set(string)
  default     = ["database-url", "jwt-secret", "signing-key", "signing-public-key", "smoke-users"]

  validation {
    condition     = length(setsubtract(var.names, ["database-url", "jwt-secret", "signing-key", "signing-public-key", "smoke-users"])) == 0
    error_message = "names are database-url, jwt-secret, signing-key, signing-public-key and smoke-users."
  }
}

variable "stores" {
  description = "Stores that checks ask themselves, \"database\" or \"redis\": each gets a secret for its address."
  type        = set(string)
  default     = []
}

variable "kms_key_arn" {
  description = "Key that encrypts the secrets; null: AWS's own."
  type        = string
  default     = null
}

variable "redis" {
  description = "Whether a secret holds Redis's password."
  type        = bool
  default     = true
}

variable "redis_auth_token" {
  description = "Password of Redis; not needed without that secret."
  type        = string
  default     = null
  sensitive   = true
}

variable "trial" {
  description = "Whether secrets go at once when they are destroyed, so that their names are free again."
  type        = bool
  default     = false
}
