# Who may do what. Each role has what stands here and nothing else; no policy of AWS's own is attached.

locals {
  account = data.aws_caller_identity.current.account_id

  # role -> the service that takes it
  roles = {
    platform  = "ecs-tasks.amazonaws.com"     # the platform's processes
    start     = "ecs-tasks.amazonaws.com"     # the agent, for them: image, secrets, logs
    machine   = "ec2.amazonaws.com"           # the agents on the machine
    flow-log  = "vpc-flow-logs.amazonaws.com" # the network's log
    snapshots = "dlm.amazonaws.com"           # the nightly copies of the home
  }

  rights = {
    platform  = data.aws_iam_policy_document.platform.json
    start     = data.aws_iam_policy_document.start.json
    machine   = data.aws_iam_policy_document.machine.json
    flow-log  = data.aws_iam_policy_document.flow_log.json
    snapshots = data.aws_iam_policy_document.snapshots.json
  }
}

data "aws_iam_policy_document" "trust" {
  for_each = local.roles

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = [each.value]
    }

    dynamic "condition" { # EC2 names no source when it takes a role
      for_each = each.key == "machine" ? [] : [local.account]

      content {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [condition.value]
      }
    }
  }
}

resource "aws_iam_role" "of" {
  for_each           = local.roles
  name               = "${local.name}-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.trust[each.key].json
}

resource "aws_iam_role_policy" "of" {
  for_each = local.rights
  name     = each.key
  role     = aws_iam_role.of[each.key].id
  policy   = each.value
}

resource "aws_iam_instance_profile" "machine" {
  name = "${local.name}-machine"
  role = aws_iam_role.of["machine"].name
}

data "aws_iam_policy_document" "platform" { # what docs/object-stores.md lists; Kafka and PostgreSQL ask for passwords
  statement {
    sid       = "FindObjects"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.lake.arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["lake/*"]
    }
  }

  statement {
    sid       = "Objects"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    resources = ["${aws_s3_bucket.lake.arn}/lake/*"]
  }

  statement {
    sid       = "KeyOfObjects"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [aws_kms_key.platform.arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${var.region}.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "start" {
  statement {
    sid       = "SignInToTheRegistry"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"] # it has no finer one
  }

  statement {
    sid       = "Image"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = [aws_ecr_repository.platform.arn]
  }

  statement {
    sid       = "Secrets"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [aws_secretsmanager_secret.platform.arn, aws_secretsmanager_secret.kafka.arn]
  }

  statement {
    sid       = "KeyOfSecrets"
    actions   = ["kms:Decrypt"]
    resources = [aws_kms_key.platform.arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["secretsmanager.${var.region}.amazonaws.com"]
    }
  }

  statement {
    sid       = "Logs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.of["platform"].arn}:*"]
  }
}

data "aws_iam_policy_document" "machine" {
  statement {
    sid       = "JoinTheCluster"
    actions   = ["ecs:DeregisterContainerInstance", "ecs:RegisterContainerInstance", "ecs:SubmitAttachmentStateChanges", "ecs:SubmitContainerStateChange", "ecs:SubmitTaskStateChange"]
    resources = [aws_ecs_cluster.platform.arn]
  }

  statement {
    sid       = "HearFromTheCluster"
    actions   = ["ecs:Poll", "ecs:StartTelemetrySession", "ecs:UpdateContainerInstancesState"]
    resources = ["arn:aws:ecs:${var.region}:${local.account}:container-instance/${local.name}/*"]
  }

  statement { # for operators' sessions: a shell on the machine, and ports forwarded through it
    sid       = "TellOfItself"
    actions   = ["ssm:UpdateInstanceInformation"]
    resources = ["arn:aws:ec2:${var.region}:${local.account}:instance/*"]
  }

  statement {
    sid = "WhatHasNoFinerResource"
    actions = [
      "ecs:DiscoverPollEndpoint", "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel",
      "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
    ]
    resources = ["*"]
  }
}

data "aws_iam_policy_document" "flow_log" {
  statement {
    actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.of["network"].arn}:*"]
  }
}

data "aws_iam_policy_document" "snapshots" {
  statement {
    sid       = "Find"
    actions   = ["ec2:DescribeInstances", "ec2:DescribeSnapshots", "ec2:DescribeVolumes"]
    resources = ["*"] # they have no finer one
  }

  statement {
    sid       = "Copy"
    actions   = ["ec2:CreateSnapshot"]
    resources = [aws_ebs_volume.home.arn, "arn:aws:ec2:${var.region}::snapshot/*"]
  }

  statement {
    sid       = "KeepAndDelete"
    actions   = ["ec2:CreateTags", "ec2:DeleteSnapshot"]
    resources = ["arn:aws:ec2:${var.region}::snapshot/*"]
  }
}

# ------------------------------------------------------------------------------------------------------- logs

locals {
  logs = {
    platform = "/${local.name}/platform"
    kafka    = "/${local.name}/kafka"
    network  = "/${local.name}/network"
    database = "/aws/rds/instance/${local.name}/postgresql" # RDS would make it itself, without our key
  }
}

resource "aws_cloudwatch_log_group" "of" {
  for_each          = local.logs
  name              = each.value
  kms_key_id        = aws_kms_key.platform.arn
  retention_in_days = 365
}
