# What runs: images at their first creation, size, and the service's own variables.

variable "repository" {
  description = "Name of the image repository, also in deployment.toml."
  type        = string
  default     = "telehealth-api"

  validation {
    condition     = can(regex("^[a-z0-9]+([._/-][a-z0-9]+)*$", var.repository))
    error_message = "repository is an ECR repository's name."
  }
}

variable "create_repository" {
  description = "Whether this environment makes the repository. False: another environment of the account has made it, and this one uses it, so that a release is tested and promoted as the same image."
  type        = bool
  default     = true

  validation {
    condition     = var.create_repository != null
    error_message = "create_repository is true or false."
  }
}

variable "image_blue" {
  description = "Image of blue when it is first created, by digest. Null: the newest one of the repository. Afterwards images are the deployer's."
  type        = string
  default     = null

  validation {
    condition     = var.image_blue == null || can(regex("^[0-9]{12}\\.dkr\\.ecr\\.[a-z0-9-]+\\.amazonaws\\.com(\\.cn)?/[^@:]+@sha256:[0-9a-f]{64}$", var.image_blue))
    error_message = "image_blue is ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY@sha256:DIGEST: a tag can be moved."
  }
}

variable "image_green" {
  description = "Image of green when it is first created, by digest. Null: the newest one of the repository. Afterwards images are the deployer's."
  type        = string
  default     = null

  validation {
    condition     = var.image_green == null || can(regex("^[0-9]{12}\\.dkr\\.ecr\\.[a-z0-9-]+\\.amazonaws\\.com(\\.cn)?/[^@:]+@sha256:[0-9a-f]{64}$", var.image_green))
    error_message = "image_green is ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY@sha256:DIGEST: a tag can be moved."
  }
}

variable "cpu" {
  description = "CPU units of one instance or task: 1024 is one vCPU."
  type        = number
  default     = 1024

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096], var.cpu)
    error_message = "cpu is 256, 512, 1024, 2048 or 4096."
  }
}

variable "memory" {
  description = "Memory of one instance or task in MiB."
  type        = number
  default     = 2048

  validation {
    condition     = contains([512, 1024, 2048, 3072, 4096, 6144, 8192, 10240, 12288], var.memory)
    error_message = "memory is a size that both platforms offer, such as 2048."
  }
}

variable "min_size" {
  description = "Instances or tasks of a colour at the least. A colour that is promoted takes all traffic at once: two is too few for most."
  type        = number
  default     = 2

  validation {
    condition     = var.min_size >= 1 && var.min_size <= 25
    error_message = "min_size is between 1 and 25."
  }
}

variable "max_size" {
  description = "Instances or tasks of a colour at the most."
  type        = number
  default     = 10

  validation {
    condition     = var.max_size >= var.min_size && var.max_size <= 25
    error_message = "max_size is between min_size and 25."
  }
}

variable "max_concurrency" {
  description = "Requests that one instance handles at once before another is added."
  type        = number
  default     = 100

  validation {
    condition     = var.max_concurrency >= 1 && var.max_concurrency <= 200
    error_message = "max_concurrency is between 1 and 200."
  }
}

variable "cors_origins" {
  description = "Origins that may call the service from a browser. Empty: the live domain alone."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for origin in var.cors_origins : can(regex("^https://[^/]+$", origin))])
    error_message = "cors_origins are https:// origins without a path."
  }
}

variable "rate_limit_max_requests" {
  description = "RATE_LIMIT_MAX_REQUESTS of the service, requests a minute and client; 0: none."
  type        = number
  default     = 300

  validation {
    condition     = var.rate_limit_max_requests >= 0
    error_message = "rate_limit_max_requests is not negative."
  }
}

variable "seed_smoke_users" {
  description = "Whether the service gets the smoke users in SEED_USERS, a JSON list of {email, password}, and makes them itself in its release step. False: they exist already, or are made in another way."
  type        = bool
  default     = false

  validation {
    condition     = var.seed_smoke_users != null
    error_message = "seed_smoke_users is true or false."
  }
}

variable "compliance_modes" {
  description = "Switches that are passed on to the service as HIPAA_COMPLIANCE_MODE and SOC2_COMPLIANCE_MODE. They make nothing compliant by themselves."
  type        = object({ hipaa = bool, soc2 = bool })
  default     = { hipaa = true, soc2 = true }

  validation {
    condition     = var.compliance_modes.hipaa != null && var.compliance_modes.soc2 != null
    error_message = "compliance_modes sets both hipaa and soc2."
  }
}
