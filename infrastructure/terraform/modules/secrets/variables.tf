variable "prefix" {
  description = "Beginning of every secret's name."
  type        = string
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
