# One certificate for the live domain and the colours' own hosts, in the region of what ends TLS: us-east-1 for CloudFront.

locals {
  certified_hosts = local.ecs ? concat([var.domain_name], values(local.colour_hosts)) : [var.domain_name]

  certificate_proofs = merge([
    for certificate in concat(aws_acm_certificate.global, aws_acm_certificate.regional) : {
      for option in certificate.domain_validation_options :
      option.domain_name => { name = option.resource_record_name, type = option.resource_record_type, value = option.resource_record_value }
    }
  ]...)
}

resource "aws_acm_certificate" "global" {
  count    = local.apprunner ? 1 : 0
  provider = aws.global

  domain_name       = var.domain_name
  validation_method = "DNS"

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_acm_certificate" "regional" {
  count = local.ecs ? 1 : 0

  domain_name               = var.domain_name
  subject_alternative_names = values(local.colour_hosts)
  validation_method         = "DNS"

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_route53_record" "certificate" {
  for_each = toset(local.certified_hosts)

  zone_id         = data.aws_route53_zone.main.zone_id
  name            = local.certificate_proofs[each.key].name
  type            = local.certificate_proofs[each.key].type
  records         = [local.certificate_proofs[each.key].value]
  ttl             = 300
  allow_overwrite = true
}

resource "aws_acm_certificate_validation" "global" {
  count    = length(aws_acm_certificate.global)
  provider = aws.global

  certificate_arn         = aws_acm_certificate.global[0].arn
  validation_record_fqdns = [for record in aws_route53_record.certificate : record.fqdn]
}

resource "aws_acm_certificate_validation" "regional" {
  count = length(aws_acm_certificate.regional)

  certificate_arn         = aws_acm_certificate.regional[0].arn
  validation_record_fqdns = [for record in aws_route53_record.certificate : record.fqdn]
}
