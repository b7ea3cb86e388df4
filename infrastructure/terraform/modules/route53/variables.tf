variable "name" {
  description = "Beginning of every name."
  type        = string
}

variable "zone_id" {
  description = "Public hosted zone of the live domain."
  type        = string
}

variable "domain_name" {
  description = "The live domain."
  type        = string
}

variable "live_targets" {
  description = "What the live domain stands for: one target, or one a colour, which makes the records weighted."
  type        = map(object({ name = string, zone_id = string }))
}

variable "ipv6" {
  description = "Whether the one target has IPv6 addresses."
  type        = bool
}

variable "colour_targets" {
  description = "The colours' own hosts and what they stand for."
  type        = map(object({ host = string, name = string, zone_id = string }))
}

variable "health_path" {
  description = "Path that answers 200 when the service is well."
  type        = string
}

variable "topic_arn" {
  description = "Topic in us-east-1 that is told of the health check's alarm."
  type        = string
}
