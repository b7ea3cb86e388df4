# The secrets of deployments, without values, encrypted with AWS's own key.

provider "aws" {
  region = "us-east-1"
}

module "secrets" {
  source = "../"

  prefix = "production/shop"
  names  = ["signing-key", "signing-public-key", "smoke-users"]
  redis  = false
}
