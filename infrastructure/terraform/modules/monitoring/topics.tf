# Who is told. An alarm can only tell a topic of its own region, and Route 53's metrics are in us-east-1: hence two of them.

data "aws_iam_policy_document" "topic" {
  for_each = local.topics

  statement {
    sid       = "Alarms"
    actions   = ["sns:Publish"]
    resources = [each.value]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account]
    }
  }

  statement {
    sid       = "OverTlsAlone"
    effect    = "Deny"
    actions   = ["sns:Publish"]
    resources = [each.value]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

locals {
  topics = { regional = aws_sns_topic.regional.arn, global = aws_sns_topic.global.arn }
}

resource "aws_sns_topic" "regional" {
  name              = "${var.name}-deployments"
  display_name      = "Deployments of ${var.name}"
  kms_master_key_id = var.kms_key_arn
}

resource "aws_sns_topic_policy" "regional" {
  arn    = aws_sns_topic.regional.arn
  policy = data.aws_iam_policy_document.topic["regional"].json
}

resource "aws_sns_topic_subscription" "regional" {
  for_each = toset(var.notification_emails)

  topic_arn = aws_sns_topic.regional.arn
  protocol  = "email"
  endpoint  = each.key
}

resource "aws_sns_topic" "global" {
  provider = aws.global

  name              = "${var.name}-live-domain"
  display_name      = "Live domain of ${var.name}"
  kms_master_key_id = var.global_kms_key_arn
}

resource "aws_sns_topic_policy" "global" {
  provider = aws.global

  arn    = aws_sns_topic.global.arn
  policy = data.aws_iam_policy_document.topic["global"].json
}

resource "aws_sns_topic_subscription" "global" {
  for_each = toset(var.notification_emails)
  provider = aws.global

  topic_arn = aws_sns_topic.global.arn
  protocol  = "email"
  endpoint  = each.key
}
