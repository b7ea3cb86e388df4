# Where traffic goes. Terraform makes the keys and never looks at them again: whatever the deployer writes stays.

locals {
  first = "blue"

  keys = {
    active         = local.first
    weights        = jsonencode({ for colour in sort(keys(var.origins)) : colour => colour == local.first ? 100 : 0 })
    generation     = "1"
    "origin.blue"  = var.origins["blue"]
    "origin.green" = var.origins["green"]
  }

  # Read back from the store, not from any variable: where traffic went when this was applied.
  live       = contains(keys(var.origins), aws_cloudfrontkeyvaluestore_key.main["active"].value) ? aws_cloudfrontkeyvaluestore_key.main["active"].value : local.first
  last_known = { colour = local.live, host = var.origins[local.live], generation = "0", split = false }
}

resource "aws_cloudfront_key_value_store" "main" {
  name    = var.name
  comment = "Routes of ${var.domain_name}; written by the deployer"
}

resource "aws_cloudfrontkeyvaluestore_key" "main" {
  for_each = local.keys

  key_value_store_arn = aws_cloudfront_key_value_store.main.arn
  key                 = each.key
  value               = each.value

  lifecycle {
    ignore_changes = [value]
  }
}

resource "aws_cloudfront_function" "request" {
  name                         = "${var.name}-request"
  comment                      = "Sends each request to the live colour"
  runtime                      = "cloudfront-js-2.0"
  publish                      = true
  code                         = templatefile("${path.module}/functions/viewer-request.js", { last_known = jsonencode(local.last_known) })
  key_value_store_associations = [aws_cloudfront_key_value_store.main.arn]
}

resource "aws_cloudfront_function" "response" {
  name    = "${var.name}-response"
  comment = "Tells which colour answered"
  runtime = "cloudfront-js-2.0"
  publish = true
  code    = file("${path.module}/functions/viewer-response.js")
}
