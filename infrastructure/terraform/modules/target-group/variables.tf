variable "name" {
  description = "Name of the target group: 32 characters at the most."
  type        = string
}

variable "color" {
  description = "Colour of the service: blue or green."
  type        = string
}

variable "like_arn" {
  description = "ARN of the existing target group."
  type        = string
}
