# Who may do what, who is told, and how long things are kept.

variable "verifier_cidrs" {
  description = "Addresses from which deployments are verified: a colour's own address answers these and the VPC alone. Empty: the deployer runs inside the VPC."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.verifier_cidrs : can(cidrnetmask(cidr)) && !endswith(cidr, "/0")])
    error_message = "verifier_cidrs are IPv4 CIDR blocks, and none of them is everybody."
  }
}

variable "resolvers" {
  description = "DNS resolvers that must answer with the new colour before a switch counts, where the router is Route 53."
  type        = list(string)
  default     = ["1.1.1.1", "8.8.8.8", "9.9.9.9"]

  validation {
    condition     = length(var.resolvers) > 0 && alltrue([for address in var.resolvers : can(cidrnetmask("${address}/32"))])
    error_message = "resolvers are IPv4 addresses, one at least."
  }
}

variable "github_repository" {
  description = "GitHub repository, OWNER/NAME, whose deployments may take the roles, from the GitHub environment of this environment's name. Null: none."
  type        = string
  default     = null

  validation {
    condition     = var.github_repository == null || can(regex("^[A-Za-z0-9_-]+/[A-Za-z0-9._-]+$", var.github_repository))
    error_message = "github_repository is OWNER/NAME, without ids: these go to github_ids."
  }
}

variable "github_ids" {
  description = "Ids of the repository's owner and of the repository, as `gh api repos/OWNER/NAME --jq '[.owner.id, .id]'` shows them. GitHub puts them into the tokens of repositories that were created, renamed or transferred since 2026-07-15. Both forms are trusted; with `only`, the form with ids alone, which no later owner of the same names can present. Null: only the names."
  type        = object({ owner = number, repository = number, only = optional(bool, false) })
  default     = null

  validation {
    condition     = var.github_ids == null || (var.github_repository != null && try(var.github_ids.owner > 0 && var.github_ids.repository > 0, false))
    error_message = "github_ids has the positive numbers owner and repository, and github_repository is set."
  }
}

variable "github_oidc_provider_arn" {
  description = "ARN of the account's OIDC provider for GitHub, of which there can be only one. Null: it is made here."
  type        = string
  default     = null

  validation {
    condition     = var.github_oidc_provider_arn == null || can(regex("^arn:aws(-cn|-us-gov)?:iam::[0-9]{12}:oidc-provider/token\\.actions\\.githubusercontent\\.com$", var.github_oidc_provider_arn))
    error_message = "github_oidc_provider_arn is the ARN of the provider token.actions.githubusercontent.com."
  }
}

variable "session_seconds" {
  description = "How long a sign-in with one of the roles may last: a deployment that waits for an approval needs it for that long, and for its bake and a rollback."
  type        = number
  default     = 7200

  validation {
    condition     = var.session_seconds >= 3600 && var.session_seconds <= 43200
    error_message = "session_seconds is from 3600 to 43200, as AWS allows."
  }
}

variable "enhanced_scanning" {
  description = "Whether the account's registry has enhanced scanning (Amazon Inspector) on: reading its findings needs more rights."
  type        = bool
  default     = false

  validation {
    condition     = var.enhanced_scanning != null
    error_message = "enhanced_scanning is true or false."
  }
}

variable "checked_secrets" {
  description = "Secrets that a deployment's checks read besides the smoke users: \"token\" (the key of the service's tokens: whoever reads it can sign in as any user), \"database\" and \"redis\" (the addresses of the stores, for users that may only read). The roles of deployments may read these, and no others."
  type        = set(string)
  default     = []

  validation {
    condition     = length(setsubtract(var.checked_secrets, ["token", "database", "redis"])) == 0
    error_message = "checked_secrets are \"token\", \"database\" or \"redis\"."
  }
}

variable "operators" {
  description = "ARNs of roles or users, those of people on call, that may take the roles too."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.operators : can(regex("^arn:aws(-cn|-us-gov)?:iam::[0-9]{12}:(role|user)/", arn))])
    error_message = "operators are ARNs of IAM roles or users."
  }
}

variable "notification_emails" {
  description = "Addresses that are told of deployments and alarms; each must confirm."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for address in var.notification_emails : strcontains(address, "@")])
    error_message = "notification_emails are e-mail addresses."
  }
}

variable "latency_alarm_ms" {
  description = "p95 of a colour's answers, in milliseconds, above which its alarm fires."
  type        = number
  default     = 1000

  validation {
    condition     = var.latency_alarm_ms > 0
    error_message = "latency_alarm_ms is positive."
  }
}

variable "errors_alarm" {
  description = "Answers of a colour with a status of 500 or more in a minute, from which on its alarm fires."
  type        = number
  default     = 5

  validation {
    condition     = var.errors_alarm >= 1
    error_message = "errors_alarm is 1 at the least."
  }
}

variable "waf_rate_limit" {
  description = "Requests of one address in five minutes beyond which it is blocked. The load gate sends 15000 of them by itself."
  type        = number
  default     = 50000

  validation {
    condition     = var.waf_rate_limit >= 100
    error_message = "waf_rate_limit is 100 at the least."
  }
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 365

  validation {
    condition     = contains([365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days is a number that CloudWatch Logs offers, 365 at the least."
  }
}

variable "audit_retention_days" {
  description = "How long nobody, not even the account's root, can delete a run's evidence."
  type        = number
  default     = 2190

  validation {
    condition     = var.audit_retention_days >= 1 && var.audit_retention_days <= 36500
    error_message = "audit_retention_days is between 1 and 36500."
  }
}

variable "trial" {
  description = "Whether the environment is a trial that `terraform destroy` removes completely: nothing refuses to be deleted, evidence is locked for a day, in a mode that an administrator can lift, secrets and images go at once, and the database has neither a standby nor a last snapshot. Set it before the first apply: evidence that is locked stays locked."
  type        = bool
  default     = false

  validation {
    condition     = var.trial != null && !(var.trial && var.environment == "production")
    error_message = "trial is true or false, and false for the environment \"production\": name the trial's own environment."
  }
}

variable "deletion_protection" {
  description = "Whether database, load balancers, lock and user pool refuse to be deleted. False only for an environment that is to go."
  type        = bool
  default     = true

  validation {
    condition     = var.deletion_protection != null
    error_message = "deletion_protection is true or false."
  }
}
