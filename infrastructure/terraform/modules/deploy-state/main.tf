# What deployments remember: the lock, and evidence that nobody can take back.

# The item is never deleted, and there is no TTL: its fencing token has to outlive every holder.
resource "aws_dynamodb_table" "lease" {
  name                        = "${var.name}-deploy-state"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "id"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "id"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.kms_key_arn
  }
}

resource "aws_s3_bucket" "audit" {
  bucket              = "${var.name}-audit-${var.account}"
  object_lock_enabled = true
  force_destroy       = var.trial
}

resource "aws_s3_bucket_versioning" "audit" {
  bucket = aws_s3_bucket.audit.id

  versioning_configuration {
    status = "Enabled"
  }
}

# COMPLIANCE: no role, not even the account's root, can shorten it or delete a version before. GOVERNANCE: an administrator can.
resource "aws_s3_bucket_object_lock_configuration" "audit" {
  bucket = aws_s3_bucket_versioning.audit.bucket

  rule {
    default_retention {
      mode = var.trial ? "GOVERNANCE" : "COMPLIANCE"
      days = var.trial ? 1 : var.audit_retention_days
    }
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "audit" {
  bucket = aws_s3_bucket.audit.id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_logging" "audit" {
  bucket        = aws_s3_bucket.audit.id
  target_bucket = aws_s3_bucket.access_logs.id
  target_prefix = "s3/audit/"
}

resource "aws_s3_bucket_lifecycle_configuration" "audit" {
  bucket = aws_s3_bucket.audit.id

  rule {
    id     = "unfinished"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}
