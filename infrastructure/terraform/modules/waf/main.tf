# One web ACL. "everybody": the front door, where only what looks like an attack is kept out. Otherwise a colour's own address,
# where only those get in who come through the front door, and those who verify.

resource "aws_wafv2_ip_set" "verifiers" {
  name               = "${var.name}-verifiers"
  description        = "Where deployments are verified from"
  scope              = var.scope
  ip_address_version = "IPV4"
  addresses          = var.verifier_cidrs
}

resource "aws_wafv2_web_acl" "main" {
  name        = var.name
  description = var.everybody ? "The front door" : "The address of one colour"
  scope       = var.scope

  default_action {
    dynamic "allow" {
      for_each = var.everybody ? [1] : []
      content {}
    }

    dynamic "block" {
      for_each = var.everybody ? [] : [1]

      content {
        custom_response {
          response_code = 403

          # Preflight tells a refusal by this ACL from one by the service.
          response_header {
            name  = "x-refused-by"
            value = "verifier_cidrs"
          }
        }
      }
    }
  }

  # First: the checks send what an attacker would send, and must hear what the service says to it.
  rule {
    name     = "verifiers"
    priority = 0

    action {
      allow {}
    }

    statement {
      ip_set_reference_statement {
        arn = aws_wafv2_ip_set.verifiers.arn
      }
    }

    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "verifiers"
      sampled_requests_enabled   = true
    }
  }

  dynamic "rule" {
    for_each = var.everybody ? { AWSManagedRulesAmazonIpReputationList = 10, AWSManagedRulesKnownBadInputsRuleSet = 20, AWSManagedRulesCommonRuleSet = 30 } : {}

    content {
      name     = rule.key
      priority = rule.value

      override_action {
        none {}
      }

      statement {
        managed_rule_group_statement {
          name        = rule.key
          vendor_name = "AWS"
        }
      }

      visibility_config {
        cloudwatch_metrics_enabled = true
        metric_name                = rule.key
        sampled_requests_enabled   = true
      }
    }
  }

  dynamic "rule" {
    for_each = var.everybody ? [var.rate_limit] : []

    content {
      name     = "rate"
      priority = 40

      action {
        block {}
      }

      statement {
        rate_based_statement {
          limit              = rule.value
          aggregate_key_type = "IP"
        }
      }

      visibility_config {
        cloudwatch_metrics_enabled = true
        metric_name                = "rate"
        sampled_requests_enabled   = true
      }
    }
  }

  dynamic "rule" {
    for_each = var.everybody ? [] : [nonsensitive(var.origin_header.name)]

    content {
      name     = "front-door"
      priority = 10

      action {
        allow {}
      }

      statement {
        byte_match_statement {
          positional_constraint = "EXACTLY"
          search_string         = var.origin_header.value

          field_to_match {
            single_header {
              name = rule.value
            }
          }

          text_transformation {
            priority = 0
            type     = "NONE"
          }
        }
      }

      visibility_config {
        cloudwatch_metrics_enabled = true
        metric_name                = "front-door"
        sampled_requests_enabled   = true
      }
    }
  }

  visibility_config {
    cloudwatch_metrics_enabled = true
    metric_name                = var.name
    sampled_requests_enabled   = true
  }
}

# The name has to begin with aws-waf-logs-.
resource "aws_cloudwatch_log_group" "main" {
  name              = "aws-waf-logs-${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_wafv2_web_acl_logging_configuration" "main" {
  resource_arn            = aws_wafv2_web_acl.main.arn
  log_destination_configs = [aws_cloudwatch_log_group.main.arn]

  redacted_fields {
    single_header {
      name = "authorization"
    }
  }

  redacted_fields {
    single_header {
      name = "cookie"
    }
  }

  dynamic "redacted_fields" {
    for_each = var.everybody ? [] : [nonsensitive(var.origin_header.name)]

    content {
      single_header {
        name = redacted_fields.value
      }
    }
  }
}
