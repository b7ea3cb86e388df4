# A tag means one image for ever, and every image is scanned when it is pushed and whenever a new weakness becomes known.

moved {
  from = aws_ecr_repository.main
  to   = aws_ecr_repository.main[0]
}

moved {
  from = aws_ecr_lifecycle_policy.main
  to   = aws_ecr_lifecycle_policy.main[0]
}

# The repository of another environment, or of another team.
data "aws_ecr_repository" "main" {
  count = var.create ? 0 : 1

  name = var.repository
}

locals {
  repository = one(concat(aws_ecr_repository.main, data.aws_ecr_repository.main))
}

resource "aws_ecr_repository" "main" {
  count = var.create ? 1 : 0

  name                 = var.repository
  image_tag_mutability = "IMMUTABLE"
  force_delete         = var.trial

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = var.kms_key_arn
  }
}

# Tagged images are kept: what was released once can be rolled back to, and its evidence points to it.
resource "aws_ecr_lifecycle_policy" "main" {
  count = var.create ? 1 : 0

  repository = aws_ecr_repository.main[0].name

  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "Images that never got a tag"
      selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 14 }
      action       = { type = "expire" }
    }]
  })
}
