variable "name" {
  description = "Name of connector and configurations, and beginning of the others: 32 characters at the most."
  type        = string
}

variable "repository_arn" {
  description = "ARN of the image repository."
  type        = string
}

variable "service_policy" {
  description = "What the service itself may do, as JSON."
  type        = string
}

variable "private_subnet_ids" {
  description = "Subnets through which the service reaches database, Redis and everything else."
  type        = list(string)
}

variable "service_security_group_id" {
  description = "Security group of the connector."
  type        = string
}

variable "max_concurrency" {
  description = "Requests that one instance handles at once."
  type        = number
}

variable "min_size" {
  description = "Instances at the least."
  type        = number
}

variable "max_size" {
  description = "Instances at the most."
  type        = number
}
