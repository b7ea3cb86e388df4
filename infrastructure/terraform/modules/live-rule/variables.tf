variable "listener_arn" {
  description = "The existing listener."
  type        = string
}

variable "priority" {
  description = "Priority of the rule: a free number right before that of the rule that has sent the live traffic so far."
  type        = number
}

variable "like_arn" {
  description = "Existing rule with the conditions and transforms to repeat; null: the rule holds for every request, in the place of a default action."
  type        = string
  default     = null
}

variable "target_group_arns" {
  description = "Target group of each colour."
  type        = map(string)
}

variable "first_color" {
  description = "Colour that has all traffic at the beginning."
  type        = string
}
