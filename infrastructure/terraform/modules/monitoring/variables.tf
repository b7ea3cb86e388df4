variable "name" {
  description = "Beginning of every name."
  type        = string
}

variable "region" {
  description = "Region of the metrics."
  type        = string
}

variable "platform" {
  description = "What runs a release: apprunner or ecs."
  type        = string
}

variable "colours" {
  description = "Dimensions of each colour's metrics."
  type        = map(map(string))
}

variable "latency_alarm_ms" {
  description = "p95 in milliseconds above which a colour's alarm fires."
  type        = number
}

variable "errors_alarm" {
  description = "Answers of 500 and more in a minute from which on a colour's alarm fires."
  type        = number
}

variable "topic_arn" {
  description = "Topic that the alarms tell."
  type        = string
}
