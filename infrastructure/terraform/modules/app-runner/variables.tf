variable "environment" {
  description = "Environment's name."
  type        = string
}

variable "color" {
  description = "Colour of the service: blue or green."
  type        = string

  validation {
    condition     = contains(["blue", "green"], var.color)
    error_message = "color is blue or green."
  }
}

variable "image_identifier" {
  description = "Image at the service's creation, by digest."
  type        = string
}

variable "port" {
  description = "Port that the service listens on."
  type        = number
}

variable "health_path" {
  description = "Path that answers 200 when the service is well."
  type        = string
}

variable "variables" {
  description = "The service's variables, the same for both colours."
  type        = map(string)
}

variable "secrets" {
  description = "ARN of the secret behind each of the service's secret variables."
  type        = map(string)
}

variable "cpu" {
  description = "CPU units: 1024 is one vCPU."
  type        = number
}

variable "memory" {
  description = "Memory in MiB."
  type        = number
}

variable "access_role_arn" {
  description = "Role that pulls images."
  type        = string
}

variable "instance_role_arn" {
  description = "Role of the running service."
  type        = string
}

variable "vpc_connector_arn" {
  description = "Way into the VPC."
  type        = string
}

variable "auto_scaling_configuration_arn" {
  description = "How the service scales."
  type        = string
}

variable "observability_configuration_arn" {
  description = "How the service is traced."
  type        = string
}

variable "web_acl_arn" {
  description = "Web ACL before the service's own address."
  type        = string
}

variable "kms_key_arn" {
  description = "Key that encrypts App Runner's copy of the image."
  type        = string
}
