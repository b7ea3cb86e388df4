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

variable "variables" {
  description = "The service's variables, the same for both colours."
  type        = map(string)
}

variable "secrets" {
  description = "ARN of the secret behind each of the service's secret variables."
  type        = map(string)
}

variable "cpu" {
  description = "CPU units of a task: 1024 is one vCPU."
  type        = number
}

variable "memory" {
  description = "Memory of a task in MiB."
  type        = number
}

variable "min_size" {
  description = "Tasks at the least, and at the service's creation."
  type        = number
}

variable "max_size" {
  description = "Tasks at the most."
  type        = number
}

variable "cluster_arn" {
  description = "ARN of the cluster."
  type        = string
}

variable "cluster_name" {
  description = "Name of the cluster."
  type        = string
}

variable "execution_role_arn" {
  description = "Role that starts tasks."
  type        = string
}

variable "task_role_arn" {
  description = "Role of the running service."
  type        = string
}

variable "log_group_name" {
  description = "Log of the service."
  type        = string
}

variable "vpc_id" {
  description = "VPC of the tasks."
  type        = string
}

variable "private_subnet_ids" {
  description = "Subnets of the tasks."
  type        = list(string)
}

variable "service_security_group_id" {
  description = "Security group with the tasks' ways out."
  type        = string
}

variable "load_balancer_security_group_id" {
  description = "Security group of the load balancer."
  type        = string
}

variable "target_group_arn" {
  description = "Target group that the tasks are registered in; it hangs on a listener already."
  type        = string
}
