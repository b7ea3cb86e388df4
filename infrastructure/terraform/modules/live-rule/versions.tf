terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.19" # the first that knows transforms of listener rules
    }
  }
}
