variable "repository" {
  description = "Name of the repository."
  type        = string
}

variable "create" {
  description = "Whether the repository is made here; false: it exists."
  type        = bool
  default     = true
}

variable "kms_key_arn" {
  description = "Key that encrypts the images; null: AWS's own."
  type        = string
  default     = null
}

variable "trial" {
  description = "Whether the repository is destroyed with its images."
  type        = bool
  default     = false
}
