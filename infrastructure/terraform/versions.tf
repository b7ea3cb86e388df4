terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.7"
    }
  }

  # Bucket, key and region come from `terraform init -backend-config=FILE`, one file an environment: two environments never
  # share a state. The lock is an object beside the state, written only where none is.
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}
