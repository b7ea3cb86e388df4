# One way in, and traffic that no apply moves.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  name               = "production-telehealth"
  environment        = "production"
  domain_name        = "api.telehealth.com"
  vpc_id             = "vpc-1"
  vpc_cidr           = "10.0.0.0/16"
  certificate_arn    = "arn:aws:acm:us-east-1:123456789012:certificate/x"
  verifier_cidrs     = ["192.0.2.1/32"]
  rate_limit         = 50000
  log_retention_days = 365
}

run "cloudfront" {
  command = plan

  module {
    source = "./modules/front-door"
  }


  variables {
    origins                       = { blue = "b.us-east-1.awsapprunner.com", green = "g.us-east-1.awsapprunner.com" }
    origin_header                 = { name = "x-origin-verify", value = "secret" }
    access_log_bucket_domain_name = "logs.s3.amazonaws.com"
    kms_key_arn                   = "arn:aws:kms:us-east-1:123456789012:key/y"
  }

  assert {
    condition     = aws_cloudfront_distribution.main.default_cache_behavior[0].cache_policy_id == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
    error_message = "an answer could be the other colour's, out of a cache"
  }

  assert {
    condition     = aws_cloudfront_distribution.main.default_cache_behavior[0].origin_request_policy_id == "b689b0a8-53d0-40ab-baf2-68738e2966ac"
    error_message = "App Runner would be asked for a host that it does not know"
  }

  assert {
    condition     = aws_cloudfront_distribution.main.default_cache_behavior[0].viewer_protocol_policy == "redirect-to-https" && aws_cloudfront_distribution.main.viewer_certificate[0].minimum_protocol_version == "TLSv1.2_2021"
    error_message = "the front door talks without TLS"
  }

  assert {
    condition     = alltrue([for origin in aws_cloudfront_distribution.main.origin : origin.custom_origin_config[0].origin_protocol_policy == "https-only" && one(origin.custom_header).name == "x-origin-verify"])
    error_message = "a colour is reached without TLS, or does not know the front door"
  }

  assert {
    condition     = toset([for association in aws_cloudfront_distribution.main.default_cache_behavior[0].function_association : association.event_type]) == toset(["viewer-request", "viewer-response"])
    error_message = "a function is not where it belongs"
  }

  assert {
    condition     = aws_cloudfront_function.request.runtime == "cloudfront-js-2.0" && aws_cloudfront_function.request.publish
    error_message = "the function cannot read the store"
  }
}

run "load_balancer" {
  command = plan

  module {
    source = "./modules/load-balancer"
  }

  variables {
    colours             = ["blue", "green"]
    colour_hosts        = { blue = "blue.api.telehealth.com", green = "green.api.telehealth.com" }
    rehearsal_hosts     = { blue = "rehearsal.blue.api.telehealth.com", green = "rehearsal.green.api.telehealth.com" }
    public_subnet_ids   = ["subnet-1", "subnet-2"]
    port                = 3000
    test_port           = 8443
    health_path         = "/health"
    access_log_bucket   = "logs"
    web_acl_arn         = "arn:aws:wafv2:us-east-1:123456789012:regional/webacl/x"
    deletion_protection = true
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.live.from_port == 443 && aws_vpc_security_group_ingress_rule.live.to_port == 443
    error_message = "everybody gets in elsewhere than at the live listener"
  }

  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.test : rule.cidr_ipv4 != "0.0.0.0/0" && rule.from_port == 8443])
    error_message = "everybody reaches the test listener"
  }

  assert {
    condition     = aws_lb_listener.live.protocol == "HTTPS" && aws_lb_listener.test.protocol == "HTTPS" && strcontains(aws_lb_listener.live.ssl_policy, "TLS13")
    error_message = "a listener talks without TLS"
  }

  assert {
    condition     = one(aws_lb_listener_rule.test["green"].condition[*].host_header[0].values) == toset(["green.api.telehealth.com"])
    error_message = "green has no host of its own"
  }
}
