# A task that a person starts once (docs/aws.md): it makes the service's own user in a database that nobody outside the VPC reaches.

data "aws_region" "current" {}

data "aws_partition" "current" {}

resource "aws_ecs_cluster" "main" {
  name = "${var.name}-jobs"

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_cloudwatch_log_group" "main" {
  name              = "/ecs/${var.name}-jobs"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "execution" {
  name               = "${var.name}-database-user"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

data "aws_iam_policy_document" "execution" {
  statement {
    actions   = ["secretsmanager:GetSecretValue"]
    resources = compact([var.master_user_secret_arn, var.database_url_secret_arn, var.reader_url_secret_arn])
  }

  statement {
    actions   = ["kms:Decrypt"]
    resources = [var.kms_key_arn]
  }

  statement {
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.main.arn}:*"]
  }
}

resource "aws_iam_role_policy" "execution" {
  name   = "start"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.execution.json
}

resource "aws_ecs_task_definition" "main" {
  family                   = "${var.name}-database-user"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = "256"
  memory                   = "512"
  execution_role_arn       = aws_iam_role.execution.arn

  volume {
    name = "tmp"
  }

  container_definitions = jsonencode([{
    name                   = "psql"
    image                  = var.image
    essential              = true
    readonlyRootFilesystem = true
    mountPoints            = [{ sourceVolume = "tmp", containerPath = "/tmp", readOnly = false }]
    command                = ["sh", "-c", file("${path.module}/create-user.sh")]

    environment = [
      { name = "PGDATABASE", value = var.database },
      { name = "PGHOST", value = var.host },
      { name = "PGPORT", value = tostring(var.port) },
      { name = "PGSSLROOTCERT_URL", value = "https://truststore.pki.rds.${data.aws_partition.current.dns_suffix}/global/global-bundle.pem" },
    ]

    secrets = concat([
      { name = "DATABASE_URL", valueFrom = var.database_url_secret_arn },
      { name = "PGPASSWORD", valueFrom = "${var.master_user_secret_arn}:password::" },
      { name = "PGUSER", valueFrom = "${var.master_user_secret_arn}:username::" },
    ], var.reader_url_secret_arn == "" ? [] : [{ name = "READER_URL", valueFrom = var.reader_url_secret_arn }])

    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.main.name
        awslogs-region        = data.aws_region.current.region
        awslogs-stream-prefix = "database-user"
      }
    }
  }])
}
