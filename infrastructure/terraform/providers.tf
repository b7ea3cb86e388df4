provider "aws" {
  region              = var.aws_region
  allowed_account_ids = var.account == null ? null : [var.account]

  default_tags {
    tags = local.tags
  }
}

# What belongs to CloudFront and to Route 53's health checks lives there, whatever the region of the rest.
provider "aws" {
  alias               = "global"
  region              = "us-east-1"
  allowed_account_ids = var.account == null ? null : [var.account]

  default_tags {
    tags = local.tags
  }
}
