variable "name" {
  description = "Name of pool and client."
  type        = string
}

variable "deletion_protection" {
  description = "Whether the pool refuses to be deleted."
  type        = bool
}
