# One key for everything that the estate keeps, and one in us-east-1 for what has to lie there.

data "aws_iam_policy_document" "key" {
  for_each = toset([var.aws_region, "us-east-1"])

  statement {
    sid       = "Administrators"
    actions   = ["kms:*"]
    resources = ["*"] # of a key's own policy: that key

    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${local.account}:root"]
    }
  }

  statement {
    sid       = "Logs"
    actions   = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["logs.${each.key}.${data.aws_partition.current.dns_suffix}"]
    }

    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = ["arn:${local.partition}:logs:${each.key}:${local.account}:log-group:*"]
    }
  }

  # An alarm that may not use the topic's key tells nobody anything.
  statement {
    sid       = "Alarms"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey*"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }

  # What ECS keeps of a task on disk.
  statement {
    sid       = "Fargate"
    actions   = ["kms:GenerateDataKeyWithoutPlaintext"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["fargate.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "kms:EncryptionContext:aws:ecs:clusterAccount"
      values   = [local.account]
    }
  }

  statement {
    sid       = "FargateGrants"
    actions   = ["kms:CreateGrant"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["fargate.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "kms:EncryptionContext:aws:ecs:clusterAccount"
      values   = [local.account]
    }

    condition {
      test     = "ForAllValues:StringEquals"
      variable = "kms:GrantOperations"
      values   = ["Decrypt"]
    }
  }
}

resource "aws_kms_key" "main" {
  description             = "Everything that ${local.name} keeps"
  enable_key_rotation     = true
  deletion_window_in_days = var.trial ? 7 : 30
  policy                  = data.aws_iam_policy_document.key[var.aws_region].json
}

resource "aws_kms_alias" "main" {
  name          = "alias/${local.name}"
  target_key_id = aws_kms_key.main.key_id
}

resource "aws_kms_key" "global" {
  provider = aws.global

  description             = "What ${local.name} has to keep in us-east-1"
  enable_key_rotation     = true
  deletion_window_in_days = var.trial ? 7 : 30
  policy                  = data.aws_iam_policy_document.key["us-east-1"].json
}

resource "aws_kms_alias" "global" {
  provider = aws.global

  name          = "alias/${local.name}-global"
  target_key_id = aws_kms_key.global.key_id
}
