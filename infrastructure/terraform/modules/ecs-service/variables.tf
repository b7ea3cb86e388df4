variable "environment" {
  description = "Environment's name, the beginning of the service's; not needed with a name."
  type        = string
  default     = ""
}

variable "name" {
  description = "Name of the service; null: ENVIRONMENT-telehealth-api-COLOR."
  type        = string
  default     = null
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
  description = "Image at the service's creation, by digest. Not needed with task_definition_arn, and neither are variables, secrets, cpu, memory, the roles and the log."
  type        = string
  default     = null
}

variable "port" {
  description = "Port that the service listens on."
  type        = number
}

variable "variables" {
  description = "The service's variables, the same for both colours."
  type        = map(string)
  default     = {}
}

variable "secrets" {
  description = "ARN of the secret behind each of the service's secret variables."
  type        = map(string)
  default     = {}
}

variable "cpu" {
  description = "CPU units of a task: 1024 is one vCPU."
  type        = number
  default     = null
}

variable "memory" {
  description = "Memory of a task in MiB."
  type        = number
  default     = null
}

variable "min_size" {
  description = "Tasks at the least, and at the service's creation."
  type        = number
}

variable "max_size" {
  description = "Tasks at the most; null: the service does not scale by itself."
  type        = number
  default     = null
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
  default     = null
}

variable "task_role_arn" {
  description = "Role of the running service."
  type        = string
  default     = null
}

variable "log_group_name" {
  description = "Log of the service."
  type        = string
  default     = null
}

variable "vpc_id" {
  description = "VPC of the tasks. Not needed with security_group_ids, and neither are the two groups below."
  type        = string
  default     = null
}

variable "private_subnet_ids" {
  description = "Subnets of the tasks."
  type        = list(string)
}

variable "service_security_group_id" {
  description = "Security group with the tasks' ways out."
  type        = string
  default     = null
}

variable "load_balancer_security_group_id" {
  description = "Security group of the load balancer."
  type        = string
  default     = null
}

variable "target_group_arn" {
  description = "Target group that the tasks are registered in; it hangs on a listener already."
  type        = string
}

variable "container_name" {
  description = "Container that answers the requests."
  type        = string
  default     = "app"
}

variable "task_definition_arn" {
  description = "Existing task definition that the service starts with; null: one is made here."
  type        = string
  default     = null
}

variable "security_group_ids" {
  description = "Existing security groups of the tasks; empty: one is made here that lets the load balancer in."
  type        = list(string)
  default     = []
}

variable "assign_public_ip" {
  description = "Whether each task gets a public address: in public subnets without NAT."
  type        = bool
  default     = false
}

variable "capacity_provider_strategy" {
  description = "Capacity providers of the tasks; empty: launch_type."
  type        = list(object({ capacity_provider = string, weight = number, base = number }))
  default     = []
}

variable "launch_type" {
  description = "Launch type without capacity providers: FARGATE, or EC2 with a task definition that runs there."
  type        = string
  default     = "FARGATE"
}

variable "platform_version" {
  description = "Version of Fargate's platform."
  type        = string
  default     = "LATEST"
}

variable "health_check_grace_period" {
  description = "Seconds that a new task has before failed health checks count."
  type        = number
  default     = 60
}

variable "enable_execute_command" {
  description = "Whether ECS Exec may open a shell in a task."
  type        = bool
  default     = false
}
