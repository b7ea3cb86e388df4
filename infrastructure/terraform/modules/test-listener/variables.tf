variable "color" {
  description = "Colour that it leads to: blue or green."
  type        = string
}

variable "load_balancer_arn" {
  description = "The existing load balancer."
  type        = string
}

variable "load_balancer_security_group_id" {
  description = "Security group of the load balancer; not needed without verifier_cidrs."
  type        = string
  default     = null
}

variable "port" {
  description = "Port of the listener."
  type        = number
}

variable "certificate_arn" {
  description = "Certificate for names that no other certificate has; null: HTTP."
  type        = string
  default     = null
}

variable "more_certificate_arns" {
  description = "Certificates of further domains, among which TLS chooses by name."
  type        = list(string)
  default     = []
}

variable "ssl_policy" {
  description = "Policy for TLS."
  type        = string
  default     = "ELBSecurityPolicy-TLS13-1-2-2021-06"
}

variable "target_group_arn" {
  description = "Target group of the colour."
  type        = string
}

variable "verifier_cidrs" {
  description = "Who reaches the listener."
  type        = list(string)
}
