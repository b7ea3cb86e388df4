# What the two services share, so that they cannot differ in it: roles, scaling, tracing, the way into the VPC.

data "aws_partition" "current" {}

data "aws_iam_policy_document" "trust" {
  for_each = { access = "build.apprunner.amazonaws.com", instance = "tasks.apprunner.amazonaws.com" }

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = [each.value]
    }
  }
}

# Pulls the image.
resource "aws_iam_role" "access" {
  name               = "${var.name}-apprunner-access"
  assume_role_policy = data.aws_iam_policy_document.trust["access"].json
}

data "aws_iam_policy_document" "access" {
  statement {
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"] # it knows no resource
  }

  statement {
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:DescribeImages", "ecr:GetDownloadUrlForLayer"]
    resources = [var.repository_arn]
  }
}

resource "aws_iam_role_policy" "access" {
  name   = "pull"
  role   = aws_iam_role.access.id
  policy = data.aws_iam_policy_document.access.json
}

# What the service itself may do.
resource "aws_iam_role" "instance" {
  name               = "${var.name}-apprunner-instance"
  assume_role_policy = data.aws_iam_policy_document.trust["instance"].json
}

resource "aws_iam_role_policy" "instance" {
  name   = "service"
  role   = aws_iam_role.instance.id
  policy = var.service_policy
}

resource "aws_iam_role_policy_attachment" "tracing" {
  role       = aws_iam_role.instance.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/AWSXRayDaemonWriteAccess"
}

resource "aws_apprunner_vpc_connector" "main" {
  vpc_connector_name = var.name
  subnets            = var.private_subnet_ids
  security_groups    = [var.service_security_group_id]
}

resource "aws_apprunner_auto_scaling_configuration_version" "main" {
  auto_scaling_configuration_name = var.name
  max_concurrency                 = var.max_concurrency
  min_size                        = var.min_size
  max_size                        = var.max_size
}

resource "aws_apprunner_observability_configuration" "main" {
  observability_configuration_name = var.name

  trace_configuration {
    vendor = "AWSXRAY"
  }
}
