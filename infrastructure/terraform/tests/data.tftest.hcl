# Nothing that holds data is public, unencrypted or easily lost.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
}

mock_provider "random" {}

variables {
  name                      = "production-telehealth"
  account                   = "123456789012"
  prefix                    = "production/telehealth"
  repository                = "telehealth-api"
  vpc_id                    = "vpc-1"
  private_subnet_ids        = ["subnet-1", "subnet-2"]
  service_security_group_id = "sg-1"
  kms_key_arn               = "arn:aws:kms:us-east-1:123456789012:key/x"
  log_retention_days        = 365
  audit_retention_days      = 2190
  deletion_protection       = true
}

run "database" {
  command = plan

  module {
    source = "./modules/database"
  }

  variables {
    port                 = 5432
    db_instance_class    = "db.t3.medium"
    db_allocated_storage = 100
    db_engine_version    = "15"
  }

  assert {
    condition     = !aws_db_instance.main.publicly_accessible && aws_db_instance.main.storage_encrypted && aws_db_instance.main.kms_key_id == var.kms_key_arn
    error_message = "the database is public or not encrypted"
  }

  assert {
    condition     = aws_db_instance.main.multi_az && aws_db_instance.main.deletion_protection && !aws_db_instance.main.skip_final_snapshot && aws_db_instance.main.backup_retention_period >= 30
    error_message = "the database is easily lost"
  }

  assert {
    condition     = aws_db_instance.main.manage_master_user_password && aws_db_instance.main.password == null
    error_message = "Terraform knows the database's password"
  }

  assert {
    condition     = contains([for parameter in aws_db_parameter_group.main.parameter : "${parameter.name}=${parameter.value}"], "rds.force_ssl=1")
    error_message = "the database talks without TLS"
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.service.cidr_ipv4 == null && aws_vpc_security_group_ingress_rule.service.referenced_security_group_id == "sg-1"
    error_message = "somebody else than the service reaches the database"
  }
}

run "redis" {
  command = plan

  module {
    source = "./modules/redis"
  }

  variables {
    port                 = 6379
    redis_node_type      = "cache.t3.micro"
    redis_engine_version = "7.1"
    auth_token           = "0123456789abcdef"
  }

  assert {
    condition     = aws_elasticache_replication_group.main.transit_encryption_enabled && aws_elasticache_replication_group.main.transit_encryption_mode == "required"
    error_message = "Redis talks without TLS"
  }

  assert {
    condition     = tobool(aws_elasticache_replication_group.main.at_rest_encryption_enabled) && aws_elasticache_replication_group.main.kms_key_id == var.kms_key_arn
    error_message = "Redis is not encrypted"
  }

  assert {
    condition     = aws_elasticache_replication_group.main.auth_token == "0123456789abcdef" && aws_elasticache_replication_group.main.automatic_failover_enabled
    error_message = "Redis lets everybody in, or has nobody who takes over"
  }
}

run "registry" {
  command = plan

  module {
    source = "./modules/registry"
  }

  assert {
    condition     = aws_ecr_repository.main[0].image_tag_mutability == "IMMUTABLE" && aws_ecr_repository.main[0].image_scanning_configuration[0].scan_on_push
    error_message = "a tag can be moved, or an image is not scanned"
  }

  assert {
    condition     = one(aws_ecr_repository.main[0].encryption_configuration).encryption_type == "KMS"
    error_message = "images are not encrypted"
  }
}

run "deploy_state" {
  command = plan

  module {
    source = "./modules/deploy-state"
  }

  assert {
    condition     = aws_dynamodb_table.lease.hash_key == "id" && length(aws_dynamodb_table.lease.ttl) == 0
    error_message = "the lock's table is not the one that the deployer knows: key id, and no TTL"
  }

  assert {
    condition     = aws_dynamodb_table.lease.server_side_encryption[0].enabled && aws_dynamodb_table.lease.deletion_protection_enabled
    error_message = "the lock is not encrypted, or easily lost"
  }

  assert {
    condition     = aws_s3_bucket.audit.object_lock_enabled && aws_s3_bucket_versioning.audit.versioning_configuration[0].status == "Enabled"
    error_message = "evidence can be written over"
  }

  assert {
    condition     = aws_s3_bucket_object_lock_configuration.audit.rule[0].default_retention[0].mode == "COMPLIANCE" && aws_s3_bucket_object_lock_configuration.audit.rule[0].default_retention[0].days == 2190
    error_message = "evidence can be deleted before its time"
  }

  assert {
    condition     = alltrue([for block in aws_s3_bucket_public_access_block.main : block.block_public_acls && block.block_public_policy && block.ignore_public_acls && block.restrict_public_buckets])
    error_message = "a bucket can be made public"
  }
}

run "secrets" {
  command = plan

  module {
    source = "./modules/secrets"
  }

  variables {
    redis_auth_token = "0123456789abcdef"
  }

  assert {
    condition     = alltrue([for secret in aws_secretsmanager_secret.by_hand : secret.kms_key_id == var.kms_key_arn])
    error_message = "a secret is not encrypted with the estate's key"
  }

  assert {
    condition     = aws_secretsmanager_secret_version.redis_auth[0].secret_string == "0123456789abcdef"
    error_message = "Redis's password is not where the service looks for it"
  }
}
