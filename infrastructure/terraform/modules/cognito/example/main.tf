# A user pool for a service that has none.

provider "aws" {
  region = "us-east-1"
}

module "cognito" {
  source = "../"

  name                = "shop"
  deletion_protection = true
}
