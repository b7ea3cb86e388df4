variable "repository" {
  description = "Name of the repository."
  type        = string
}

variable "kms_key_arn" {
  description = "Key that encrypts the images."
  type        = string
}
