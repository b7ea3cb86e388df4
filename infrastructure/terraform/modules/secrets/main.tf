# Places for secrets. What a person has to choose gets its value by hand (docs/terraform.md): no variable, plan or state ever
# holds it. Redis's password is the one that AWS wants to be told.

moved {
  from = aws_secretsmanager_secret.redis_auth
  to   = aws_secretsmanager_secret.redis_auth[0]
}

moved {
  from = aws_secretsmanager_secret_version.redis_auth
  to   = aws_secretsmanager_secret_version.redis_auth[0]
}

locals {
  known = {
    database-url = "DATABASE_URL of the service's own database user, with sslmode=verify-full"
    jwt-secret   = "What the service signs its tokens with"
    smoke-users  = "The two smoke users: a JSON list of {email, password}"
    signing-key  = "Ed25519 key that signs the deployments' reports, PKCS#8, PEM"
    # For those who only check signatures: who can read the key itself can sign anything.
    signing-public-key = "Public half of signing-key, PEM"
  }

  by_hand = merge({ for name in var.names : name => local.known[name] }, {
    for store in var.stores : "verifier-${store}-url" => "URL of the service's ${store} for the checks, with a user that may only read"
  })
}

resource "aws_secretsmanager_secret" "by_hand" {
  for_each = local.by_hand

  name                    = "${var.prefix}/${each.key}"
  description             = each.value
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.trial ? 0 : 30
}

resource "aws_secretsmanager_secret" "redis_auth" {
  count = var.redis ? 1 : 0

  name                    = "${var.prefix}/redis-auth"
  description             = "Password of Redis"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.trial ? 0 : 30
}

resource "aws_secretsmanager_secret_version" "redis_auth" {
  count = var.redis ? 1 : 0

  secret_id     = aws_secretsmanager_secret.redis_auth[0].id
  secret_string = var.redis_auth_token
}
