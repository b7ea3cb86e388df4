# The one way in: CloudFront, whose function knows the live colour. All of it in us-east-1, where CloudFront is at home.

locals {
  # AWS's own policies. Caching off: a cached answer would be the other colour's.
  caching_disabled              = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
  all_viewer_except_host_header = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
}

module "waf" {
  source = "../waf"

  name               = "${var.name}-front-door"
  scope              = "CLOUDFRONT"
  everybody          = true
  verifier_cidrs     = var.verifier_cidrs
  rate_limit         = var.rate_limit
  kms_key_arn        = var.kms_key_arn
  log_retention_days = var.log_retention_days
}

resource "aws_cloudfront_response_headers_policy" "main" {
  name    = var.name
  comment = "HTTPS for ever, and nothing guessed"

  security_headers_config {
    strict_transport_security {
      access_control_max_age_sec = 63072000
      include_subdomains         = true
      preload                    = false
      override                   = true
    }

    content_type_options {
      override = true
    }

    frame_options {
      frame_option = "DENY"
      override     = false
    }

    referrer_policy {
      referrer_policy = "no-referrer"
      override        = false
    }
  }
}

resource "aws_cloudfront_distribution" "main" {
  enabled         = true
  comment         = var.domain_name
  aliases         = [var.domain_name]
  http_version    = "http2and3"
  is_ipv6_enabled = true
  price_class     = "PriceClass_100"
  web_acl_id      = module.waf.arn

  # Both colours, alike in everything but their host: the function changes that, and what it leaves out stays as it is here.
  dynamic "origin" {
    for_each = var.origins

    content {
      origin_id           = origin.key
      domain_name         = origin.value
      connection_attempts = 1
      connection_timeout  = 5

      custom_origin_config {
        http_port                = 80
        https_port               = 443
        origin_protocol_policy   = "https-only"
        origin_ssl_protocols     = ["TLSv1.2"]
        origin_read_timeout      = 60
        origin_keepalive_timeout = 30
      }

      custom_header {
        name  = var.origin_header.name
        value = var.origin_header.value
      }
    }
  }

  default_cache_behavior {
    target_origin_id           = local.first
    allowed_methods            = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
    cached_methods             = ["GET", "HEAD"]
    viewer_protocol_policy     = "redirect-to-https"
    compress                   = false
    cache_policy_id            = local.caching_disabled
    origin_request_policy_id   = local.all_viewer_except_host_header
    response_headers_policy_id = aws_cloudfront_response_headers_policy.main.id

    function_association {
      event_type   = "viewer-request"
      function_arn = aws_cloudfront_function.request.arn
    }

    function_association {
      event_type   = "viewer-response"
      function_arn = aws_cloudfront_function.response.arn
    }
  }

  logging_config {
    bucket          = var.access_log_bucket_domain_name
    prefix          = "cloudfront/"
    include_cookies = false
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }

  viewer_certificate {
    acm_certificate_arn      = var.certificate_arn
    ssl_support_method       = "sni-only"
    minimum_protocol_version = "TLSv1.2_2021"
  }
}
