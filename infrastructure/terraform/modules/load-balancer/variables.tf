variable "name" {
  description = "Name of the load balancer: 32 characters at the most."
  type        = string
}

variable "environment" {
  description = "Environment's name."
  type        = string
}

variable "colours" {
  description = "Colours behind this load balancer; the first has all traffic at the beginning."
  type        = list(string)

  validation {
    condition     = length(var.colours) > 0 && length(setsubtract(var.colours, ["blue", "green"])) == 0
    error_message = "colours are blue, green or both."
  }
}

variable "colour_hosts" {
  description = "Host of each colour on the test listener."
  type        = map(string)
}

variable "rehearsal_hosts" {
  description = "By colour, the host for which the test listener asks the colour as if for the live domain; no record needs to name it."
  type        = map(string)
}

variable "domain_name" {
  description = "The live domain."
  type        = string
}

variable "certificate_arn" {
  description = "Certificate for the live domain and the colours' hosts."
  type        = string
}

variable "vpc_id" {
  description = "VPC of the load balancer."
  type        = string
}

variable "vpc_cidr" {
  description = "CIDR block of the VPC."
  type        = string
}

variable "public_subnet_ids" {
  description = "Subnets of the load balancer, in two zones at least."
  type        = list(string)
}

variable "verifier_cidrs" {
  description = "Who reaches the test listener."
  type        = list(string)
}

variable "port" {
  description = "Port that the service listens on."
  type        = number
}

variable "test_port" {
  description = "Port of the test listener."
  type        = number
}

variable "health_path" {
  description = "Path that answers 200 when the service is well."
  type        = string
}

variable "access_log_bucket" {
  description = "Bucket of the access log."
  type        = string
}

variable "web_acl_arn" {
  description = "Web ACL before the load balancer."
  type        = string
}

variable "deletion_protection" {
  description = "Whether the load balancer refuses to be deleted."
  type        = bool
}
