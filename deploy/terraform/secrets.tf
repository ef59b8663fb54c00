# The key that encrypts everything, and secrets without values: those are put in by hand (docs/deployment.md), so neither a
# variable nor the state ever holds one.

data "aws_iam_policy_document" "key" {
  statement { # with it, IAM decides who else may use the key; AWS's own words for administering and using one
    sid       = "TheAccountByItsPolicies"
    resources = ["*"] # in a key's policy: this key
    actions = [
      "kms:CancelKeyDeletion", "kms:Create*", "kms:Decrypt", "kms:Delete*", "kms:Describe*", "kms:Disable*", "kms:Enable*",
      "kms:Encrypt", "kms:GenerateDataKey*", "kms:Get*", "kms:List*", "kms:Put*", "kms:ReEncrypt*", "kms:RetireGrant",
      "kms:RevokeGrant", "kms:RotateKeyOnDemand", "kms:ScheduleKeyDeletion", "kms:TagResource", "kms:UntagResource", "kms:Update*",
    ]

    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${local.account}:root"]
    }
  }

  statement {
    sid       = "LogGroupsOfThePlatform"
    resources = ["*"]
    actions   = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]

    principals {
      type        = "Service"
      identifiers = ["logs.${var.region}.amazonaws.com"]
    }

    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = [for log in values(local.logs) : "arn:aws:logs:${var.region}:${local.account}:log-group:${log}"]
    }
  }
}

resource "aws_kms_key" "platform" {
  description             = "Everything of the credit-risk platform at rest"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key.json

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_kms_alias" "platform" {
  name          = "alias/${local.name}"
  target_key_id = aws_kms_key.platform.key_id
}

# ------------------------------------------------------------------------------------------------------- secrets

# What compose keeps in secrets.env, as one JSON object: each name below with its value.
resource "aws_secretsmanager_secret" "platform" {
  name                    = "${local.name}/platform"
  description             = "Secrets of the platform, a JSON object by the names of its settings"
  kms_key_id              = aws_kms_key.platform.arn
  recovery_window_in_days = 30
}

# The platform's own user of Kafka, as MSK wants it: {"username": "credit-risk", "password": "..."}
resource "aws_secretsmanager_secret" "kafka" {
  name                    = "AmazonMSK_${local.name}" # MSK takes no other prefix
  description             = "User and password by which the platform signs in to Kafka"
  kms_key_id              = aws_kms_key.platform.arn # nor AWS's own key
  recovery_window_in_days = 30
}

data "aws_iam_policy_document" "kafka_secret" { # MSK writes this one itself; named here, it is no difference to the next plan
  statement {
    sid       = "AWSKafkaResourcePolicy"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [aws_secretsmanager_secret.kafka.arn]

    principals {
      type        = "Service"
      identifiers = ["kafka.amazonaws.com"]
    }
  }
}

resource "aws_secretsmanager_secret_policy" "kafka" {
  secret_arn = aws_secretsmanager_secret.kafka.arn
  policy     = data.aws_iam_policy_document.kafka_secret.json
}

locals {
  # Each container's `secrets`: the agent fetches them with the execution role, and no definition shows a value.
  serving_secrets = [
    for name in ["CRP_CUSTOMER_LINK_KEY", "CRP_PII_TOKEN_KEY"] :
    { name = name, valueFrom = "${aws_secretsmanager_secret.platform.arn}:${name}::" }
  ]
  more_secrets = [
    for name in var.more_secrets :
    { name = name, valueFrom = "${aws_secretsmanager_secret.platform.arn}:${name}::" }
  ]
  dagster_secrets = concat(local.serving_secrets, local.more_secrets, [
    { name = "CRP_MLFLOW_TRACKING_URL", valueFrom = "${aws_secretsmanager_secret.platform.arn}:CRP_MLFLOW_TRACKING_URL::" },
    { name = "DAGSTER_POSTGRES_URL", valueFrom = "${aws_secretsmanager_secret.platform.arn}:DAGSTER_POSTGRES_URL::" },
    { name = "KAFKA_SASL_PASSWORD", valueFrom = "${aws_secretsmanager_secret.kafka.arn}:password::" },
    { name = "MLFLOW_BACKEND_STORE_URI", valueFrom = "${aws_secretsmanager_secret.platform.arn}:CRP_MLFLOW_TRACKING_URL::" },
  ])
}
