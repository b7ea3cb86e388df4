variable "prefix" {
  description = "Beginning of every secret's name."
  type        = string
}

variable "stores" {
  description = "Stores that checks ask themselves, \"database\" or \"redis\": each gets a secret for its address."
  type        = set(string)
  default     = []
}

variable "kms_key_arn" {
  description = "Key that encrypts the secrets."
  type        = string
}

variable "redis_auth_token" {
  description = "Password of Redis."
  type        = string
  sensitive   = true
}

variable "trial" {
  description = "Whether secrets go at once when they are destroyed, so that their names are free again."
  type        = bool
  default     = false
}
