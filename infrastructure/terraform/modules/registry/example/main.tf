# A repository whose tags cannot be moved, encrypted with AWS's own key.

provider "aws" {
  region = "us-east-1"
}

module "registry" {
  source = "../"

  repository = "shop"
}
