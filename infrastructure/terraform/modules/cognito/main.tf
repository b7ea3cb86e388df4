# The service's users. Nobody signs up by himself, and a second factor is offered to everybody.

resource "aws_cognito_user_pool" "main" {
  name                = var.name
  username_attributes = ["email"]
  mfa_configuration   = "OPTIONAL"
  user_pool_tier      = "PLUS"
  deletion_protection = var.deletion_protection ? "ACTIVE" : "INACTIVE"

  auto_verified_attributes = ["email"]

  admin_create_user_config {
    allow_admin_create_user_only = true
  }

  password_policy {
    minimum_length                   = 14
    require_lowercase                = true
    require_uppercase                = true
    require_numbers                  = true
    require_symbols                  = true
    password_history_size            = 5
    temporary_password_validity_days = 1
  }

  software_token_mfa_configuration {
    enabled = true
  }

  user_pool_add_ons {
    advanced_security_mode = "ENFORCED"
  }

  account_recovery_setting {
    recovery_mechanism {
      name     = "verified_email"
      priority = 1
    }
  }
}

resource "aws_cognito_user_pool_client" "main" {
  name         = var.name
  user_pool_id = aws_cognito_user_pool.main.id

  # Server side only, and authorised by IAM: no browser ever holds a client that takes passwords.
  explicit_auth_flows           = ["ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
  generate_secret               = false
  prevent_user_existence_errors = "ENABLED"
  enable_token_revocation       = true

  access_token_validity  = 60
  id_token_validity      = 60
  refresh_token_validity = 1

  token_validity_units {
    access_token  = "minutes"
    id_token      = "minutes"
    refresh_token = "days"
  }
}
