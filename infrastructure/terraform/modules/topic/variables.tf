variable "name" {
  description = "Name of the topic."
  type        = string
}

variable "account" {
  description = "Account whose alarms may publish."
  type        = string
}

variable "notification_emails" {
  description = "Addresses that are told."
  type        = list(string)
}

variable "kms_key_arn" {
  description = "Key that encrypts the topic, in its region."
  type        = string
}
